"""The way to the long-term store: what outages and the loss of one of the pair cost, and what reading from it costs.

Usage: python benchmarks/scale_remote_write.py [--outage SECONDS] [--series N] [--quick]

Two Prometheus scrape one target every second and write to a VictoriaMetrics, with the committed
prometheus/remote_write.yml and the flags of `perfloop up --scale`. The store is stopped under load for two minutes and
started again; then the samples of both sides are counted. The peer of the queries is the Prometheus with the
same samples.

Bars: after the outage no sample is missing, no interval has two samples, none was refused; the newest sample is at most
5 s old; a query of the store takes at most three times as long as Prometheus. Exits 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from perfloop.fill.app import fill
from perfloop.fill.config import FillConfig
from perfloop.stack import programs
from perfloop.stack.errors import ProgramError
from tests.support.remote_store import Load, Pair, read_metric, run_pair, serve, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_AGE_SECONDS, MOST_RATIO = 5.0, 3.0
WARM_SECONDS = 15
QUERIES = {
    "one series": 'load_total{n="7"}',
    "rate of one": 'rate(load_total{n="7"}[1m])',
    "sum of rates": "sum(rate(load_total[1m]))",
    "quantile": "quantile(0.95, load_total)",
    "highest ten": "topk(10, load_total)",
}
REPEATS = 15
MILLISECONDS = 1000


def coverage(pair: Pair, start: float, end: float, first: int = 0) -> tuple[int, int, int]:
    """Return the scrape intervals that either Prometheus has, those that the store lacks, and samples too many.

    Intervals are counted for each series, as the store counts them: (0, 1], (1, 2] … seconds. With `first` 1, only
    those of the second Prometheus.
    """
    have: dict[str, set[int]] = {}
    for source in pair.prometheus[first:]:
        for n, moments in pair.moments(source.url, "load_total", start, end).items():
            have.setdefault(n, set()).update(map(_interval, moments))
    stored = {
        n: list(map(_interval, moments))
        for n, moments in pair.moments(pair.store.url, "load_total", start, end).items()
    }
    lacking = sum(len(intervals - set(stored.get(n, ()))) for n, intervals in have.items())
    doubled = sum(len(found) - len(set(found)) for found in stored.values())
    return sum(map(len, have.values())), lacking, doubled


def _interval(at: float) -> int:
    return -(-round(at * MILLISECONDS) // MILLISECONDS)


def measure_age(pair: Pair) -> float:
    """Return how old the newest sample of the store is, in seconds: the median of twenty looks."""
    ages = []
    for _ in range(20):
        found = pair.query(pair.store.url, 'timestamp(load_total{n="0"})')
        ages.append(time.time() - float(found[0]["value"][1]))
        time.sleep(0.3)
    return statistics.median(ages)


def measure_queries(pair: Pair, start: float, end: float) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each range query: of the store, and of Prometheus. They take turns."""
    found = {}
    for name, expression in QUERIES.items():
        data = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": "5", "nocache": "1"}
        times: dict[str, list[float]] = {pair.store.url: [], pair.prometheus[0].url: []}
        for _ in range(REPEATS):
            for url, taken in times.items():
                begun = time.perf_counter()
                httpx.post(f"{url}/api/v1/query_range", data=data, timeout=60, trust_env=False).raise_for_status()
                taken.append(time.perf_counter() - begun)
        store, prometheus = (statistics.median(taken) for taken in times.values())
        found[name] = (store, prometheus)
    return found


def _row(text: str, value: str, bar: str, *, met: bool) -> bool:
    print(f"{text:<58} {value:>16}   bar: {bar:<12} {'met' if met else 'MISSED'}", flush=True)
    return met


def _outage(pair: Pair, seconds: float) -> list[bool]:
    begun = time.time()
    time.sleep(WARM_SECONDS)
    pair.store.end()
    time.sleep(seconds)
    pair.store.start()
    back = time.time()
    wait_for(lambda: pair.sent_all(back), "everything to be sent", 300)
    print(f"caught up {time.time() - back:.1f} s after the store was back", flush=True)
    time.sleep(3)
    intervals, lacking, doubled = coverage(pair, begun, back)
    refused = sum(read_metric(one.url, "prometheus_remote_storage_samples_failed_total") for one in pair.prometheus)
    return [
        _row(
            f"missing after {seconds:.0f} s without the store, of {intervals:,}", f"{lacking:,}", "0", met=lacking == 0
        ),
        _row("samples twice in an interval, two Prometheus", f"{doubled:,}", "0", met=doubled == 0),
        _row("samples refused", f"{refused:,.0f}", "0", met=refused == 0),
    ]


def _lost_one(pair: Pair) -> list[bool]:
    begun = time.time()
    time.sleep(3)
    pair.prometheus[0].end(9)
    time.sleep(10)
    pair.prometheus[0].start()
    time.sleep(5)
    until = time.time()
    wait_for(lambda: pair.sent_all(until), "everything to be sent", 120)
    time.sleep(3)
    # What the one that was killed had scraped within its last second and not sent is on its own disk alone.
    intervals, lacking, doubled = coverage(pair, begun, until, first=1)
    return [
        _row(f"missing after one was killed, of {intervals:,} of the other", f"{lacking:,}", "0", met=lacking == 0),
        _row("samples twice in an interval", f"{doubled:,}", "0", met=doubled == 0),
    ]


def _restarted(pair: Pair) -> list[bool]:
    """Both Prometheus are killed while the store is away: what they cannot send any more is filled."""
    begun = time.time()
    pair.store.end()
    time.sleep(8)
    for source in pair.prometheus:
        source.end(9)
        source.start()
    time.sleep(3)
    pair.store.start()
    until = time.time()
    wait_for(lambda: pair.sent_all(until), "everything to be sent", 120)
    time.sleep(3)
    intervals, before, _ = coverage(pair, begun, until)
    taken = 0.0
    for source in pair.prometheus:
        now = time.time()
        urls = {"prometheus_url": source.url, "store_url": pair.store.url}
        config = FillConfig(since=now - begun, until=now - until, metrics="load_.*", **urls)
        outcome, taken = fill(config, now, lambda _: None), taken + time.time() - now
        print(f"perfloop fill wrote {outcome.written:,} samples", flush=True)
    time.sleep(3)
    _, after, _ = coverage(pair, begun, until)
    text = f"missing after both restarted without the store: {before:,} of {intervals:,}; after `fill` ({taken:.1f} s)"
    return [_row(text, f"{after:,}", "0", met=after == 0)]


def _calm(pair: Pair) -> list[bool]:
    age = measure_age(pair)
    met = [
        _row(
            "age of the newest sample in the store",
            f"{age:.2f} s",
            f"≤ {MOST_AGE_SECONDS:g} s",
            met=age <= MOST_AGE_SECONDS,
        )
    ]
    end = time.time() - 5
    ratios = []
    for name, (store, prometheus) in measure_queries(pair, end - 60, end).items():
        ratios.append(store / prometheus)
        print(f"  {name:<14} store {store * 1000:7.1f} ms   Prometheus {prometheus * 1000:7.1f} ms   {ratios[-1]:5.2f}")
    ratio = statistics.median(ratios)
    return [
        *met,
        _row(
            "query of the store, Prometheus = 1 (median)", f"{ratio:.2f}", f"≤ {MOST_RATIO:g}", met=ratio <= MOST_RATIO
        ),
    ]


def main() -> int:
    """Run every part and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--outage", type=float, default=120.0, help="seconds without the store (default: 120)")
    parser.add_argument("--series", type=int, default=5000, help="series of the target (default: 5000)")
    parser.add_argument("--quick", action="store_true", help="ten seconds without the store, 500 series")
    options = parser.parse_args()
    outage, series = (10.0, 500) if options.quick else (options.outage, options.series)
    try:
        binaries = {name: str(programs.ensure(name, programs.home())) for name in ("prometheus", "victoria-metrics")}
    except ProgramError as error:
        print(error)
        return 1
    parts: tuple[Callable[[Pair], list[bool]], ...] = (lambda pair: _outage(pair, outage), _calm, _lost_one, _restarted)
    print(f"{series:,} series, scraped every second by each of two Prometheus", flush=True)
    with (
        serve(Load(series)) as target,
        tempfile.TemporaryDirectory() as directory,
        run_pair(binaries, Path(directory), target, replicas=2) as pair,
    ):
        wait_for(lambda: pair.query(pair.store.url, "load_total"), "the first samples")
        met = [one for part in parts for one in part(pair)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
