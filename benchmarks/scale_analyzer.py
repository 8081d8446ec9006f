"""One analyzer on 25,000, 50,000 and 100,000 series: time of a cycle, memory, samples read; 1,000,000 computed from it.

Usage: python benchmarks/scale_analyzer.py [--series 100000] [--cycles 9] [--interval 10] [--keep-nothing]

A server of its own process answers range queries as Prometheus writes them, for series of five signals of the catalogue
over as many services as there are hundreds of series; one in two thousand is in trouble. The analyzer is the service's
own loop with its HTTP client, as it ships (a cycle every 10 s, 240 points 15 s apart), on a SQLite file. The first
cycles read everything, one for each phase of cycle and step; those after them are measured. Cycles run back to back:
what is printed is how long one takes, which has to be under the interval; on a busy machine the CPU says more.
--keep-nothing is the peer: the same loop reads all of each window in each cycle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.detectors.spread import Threads
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.pipeline import Knowledge, analyze
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.prometheus_api import PrometheusSource, TailCache
from perfloop_analyzer.prometheus_api.decode import decode_range
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.series import Batch, Grid, LabelSet
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = ("api_response_time_p95", "db_query_time_p95", "cpu_used_ratio", "memory_used_ratio", "cache_hit_ratio")
SIZES = (25_000, 50_000, 100_000)
INTERVAL, STEP = 10.0, 15.0
PER_SERVICE = 100  # series
POOL = 4096
PART = 200  # series that are written at a time
# The bars: one cycle within the shipped interval, and memory in proportion to the series.
MAX_CYCLE, MAX_PEAK_KIB = INTERVAL, 45.0
MILLION = 1_000_000


class Store:
    """Series whose values are picked out of a pool of numbers by series and moment: the same in every answer."""

    def __init__(self, series: int) -> None:
        rng = np.random.default_rng(1)
        self.rows = series // len(SIGNALS)
        noise = 0.005 * rng.standard_normal(POOL)
        self.pools = {
            signal: [f"{(0.95 if signal == 'cache_hit_ratio' else 0.05) + one:.17g}" for one in noise]
            for signal in SIGNALS
        }
        services = [f"s{row * len(SIGNALS) // PER_SERVICE}" for row in range(self.rows)]
        self.labels = [
            f'{{"metric":{{"instance":"i{row}","job":"services","service":"{service}"}},"values":['
            for row, service in enumerate(services)
        ]
        self.expressions = {one.query("1m"): one.name for one in load_catalog() if one.name in SIGNALS}
        self.since = time.time()

    def answer(self, form: dict[str, str]) -> Iterator[bytes]:
        """Yield the answer to a range query."""
        signal = self.expressions.get(form["query"])
        yield b'{"status":"success","data":{"resultType":"matrix","result":['
        if signal is None:
            yield b"]}}"
            return
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        count = round((end - start) / step) + 1
        times = [start + step * number for number in range(count)]
        begins = [f'[{moment:.3f},"' for moment in times]
        places = np.array([int(moment) for moment in times])
        bad = [moment >= self.since for moment in times]
        pool, worse = self.pools[signal], '0.3"' if signal == "cache_hit_ratio" else '1.7"'
        parts: list[str] = []
        for row in range(self.rows):
            numbers = ((places * 7919 + row * 104_729) % POOL).tolist()
            if row % 2000:
                values = [f'{begin}{pool[number]}"]' for begin, number in zip(begins, numbers, strict=True)]
            else:
                values = [
                    f"{begin}{worse}]" if is_bad else f'{begin}{pool[number]}"]'
                    for begin, number, is_bad in zip(begins, numbers, bad, strict=True)
                ]
            parts.append(f"{self.labels[row]}{','.join(values)}]}}")
            if len(parts) == PART or row == self.rows - 1:
                yield ("," * (row >= PART) + ",".join(parts)).encode()
                parts.clear()
        yield b"]}}"


class Handler(BaseHTTPRequestHandler):
    """Answers what the analyzer asks."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a range query."""
        store: Store = self.server.store  # type: ignore[attr-defined]
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in store.answer(form):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        """Refuse: the targets are not known."""
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def serve(series: int) -> None:
    """Answer until the parent ends it; the first line says where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.store = Store(series)  # type: ignore[attr-defined]
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def store_of(series: int) -> Iterator[str]:
    """Run the server in a process of its own and yield its URL."""
    command = [sys.executable, __file__, "--serve", str(series)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


async def measure(url: str, cycles: int, interval: float, *, keeps: bool) -> dict[str, float]:
    """Run cycles; return the time and the CPU of one, what was read, and the peak memory of this process."""
    # The first answers are whole, and in a process beside this one's: they take long on two cores.
    source_config = SourceConfig(url, timeout_seconds=600.0, max_samples=100_000_000)
    config = RunConfig(
        source_config,
        interval_seconds=interval,
        step_seconds=STEP,
        rate_window="1m",
        history_interval_seconds=1e12,
        burn_interval_seconds=1e12,
    )
    catalog = [signal for signal in load_catalog() if signal.name in SIGNALS]
    walls, cpus, reads = [], [], []
    with tempfile.TemporaryDirectory() as home:
        database = Database(f"sqlite:///{home}/a.sqlite")
        async with PrometheusSource(source_config) as prometheus:
            source = TailCache(prometheus, source_config.max_kept) if keeps else prometheus
            loop = Loop(config, source, database, Knowledge(catalog, load_rules()))
            loop.spread_over(Threads(config.spread.thread_count()))
            begin, first = time.time() - 100.0, math.lcm(round(interval), round(STEP)) // round(interval) + 1
            for number in range(first + cycles):
                wall, cpu, read = time.perf_counter(), time.process_time(), loop.published.costs.samples
                # The analyzer's own clock: the moments of the cycles are an interval apart, however long one takes.
                result = await loop.cycle(begin + interval * number)
                assert result is not None, loop.published.error
                if number >= first or not keeps:
                    walls.append(time.perf_counter() - wall)
                    cpus.append(time.process_time() - cpu)
                    reads.append(loop.published.costs.samples - read)
                if not keeps and number:
                    break
        database.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "series": result.series,
        "wall": float(np.median(walls)),
        "worst": max(walls),
        "cpu": float(np.median(cpus)),
        "samples": float(np.median(reads)),
        "peak_kib": peak / result.series,
        "peak_mib": peak / 1024,
        "findings": len(result.findings),
    }


def cpu_of(size: int) -> dict[str, float]:
    """Return the CPU of one cycle's parts, without a server: decoding the new ends of windows, and the analysis."""
    store = Store(size)
    start = round(store.since / STEP) * STEP - 3600.0
    whole, end = Grid(start, STEP, 240), Grid(start + 235 * STEP, STEP, 5)
    rng = np.random.default_rng(1)
    batches, decoding = {}, 0.0
    for expression, name in store.expressions.items():
        form = {"query": expression, "start": f"{end.start}", "end": f"{end.end}", "step": f"{STEP}"}
        body = b"".join(store.answer(form))
        before = time.process_time()
        tail = decode_range(body, name, end)
        decoding += time.process_time() - before
        level = 0.95 if name == "cache_hit_ratio" else 0.05
        values = level + 0.005 * rng.standard_normal((len(tail), whole.points))
        batches[name] = Batch(name, whole, LabelSet(tail.labels), values)
    catalog = [signal for signal in load_catalog() if signal.name in SIGNALS]
    knowledge = Knowledge(catalog, load_rules())
    analyze(Responses(batches, {}), knowledge, whole.end)  # what follows from labels is known from then on
    before = time.process_time()
    analyze(Responses(batches, {}), knowledge, whole.end)
    return {"series": sum(map(len, batches.values())), "decoding": decoding, "analysis": time.process_time() - before}


def main() -> int:
    """Print the figures next to their bars; return 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, help="this many alone, in this process")
    parser.add_argument("--cycles", type=int, default=9)
    parser.add_argument("--interval", type=float, default=INTERVAL, help="of the cycles, in seconds")
    parser.add_argument("--cpu", type=int, nargs="+", metavar="SERIES", help="CPU of so many alone, without a server")
    parser.add_argument("--keep-nothing", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    return 0 if show_one(arguments) else report([run_alone(size, "--cycles", str(arguments.cycles)) for size in SIZES])


def show_one(arguments: argparse.Namespace) -> bool:
    """Do what one flag alone asks for; return whether there was such a flag."""
    if arguments.serve:
        serve(arguments.serve)
    for size in arguments.cpu or ():
        one = cpu_of(size)
        parts = (1e6 * one[name] / one["series"] for name in ("decoding", "analysis"))
        print(
            f"{one['series']:7.0f} series: {' + '.join(f'{part:.0f}' for part in parts)} us of CPU a series", flush=True
        )
    if arguments.series:
        with store_of(arguments.series) as url:
            keeps = not arguments.keep_nothing
            print(json.dumps(asyncio.run(measure(url, arguments.cycles, arguments.interval, keeps=keeps))))
    return bool(arguments.serve or arguments.cpu or arguments.series)


def run_alone(size: int, *more: str) -> dict[str, float]:
    """Measure one size in a process of its own, as peak memory only grows, and print it."""
    command = [sys.executable, __file__, "--series", str(size), *more]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    one: dict[str, float] = json.loads(output)
    print(
        f"{one['series']:7.0f} series: cycle {one['wall']:.2f} s (worst {one['worst']:.2f}), {one['cpu']:.2f} s of "
        f"CPU, {one['samples']:,.0f} samples read, peak {one['peak_mib']:.0f} MiB, {one['findings']:.0f} findings",
        flush=True,
    )
    return one


def report(found: list[dict[str, float]]) -> int:
    """Print the growth, what follows for a million series, and whether the bars are met."""
    each = [1e6 * one["cpu"] / one["series"] for one in found]
    print(f"CPU a series: {', '.join(f'{one:.0f} us' for one in each)}; {os.cpu_count()} cores")
    largest = found[-1]
    slope = (largest["peak_mib"] - found[0]["peak_mib"]) / (largest["series"] - found[0]["series"])
    memory = largest["peak_mib"] + slope * (MILLION - largest["series"])
    middle = found[0]["peak_mib"] + slope * (found[1]["series"] - found[0]["series"])
    print(f"check: {found[1]['series']:.0f} series: computed {middle:.0f} MiB, measured {found[1]['peak_mib']:.0f} MiB")
    seconds = max(each) * MILLION / 1e6
    print(f"a million series, computed: {seconds:.0f} s of CPU a cycle and {memory / 1024:.1f} GiB", end=", ")
    print(f"which is {seconds / INTERVAL:.1f} cores at a cycle each {INTERVAL:.0f} s")
    met = largest["worst"] <= MAX_CYCLE and largest["peak_kib"] <= MAX_PEAK_KIB
    print(
        f"bars: worst cycle of {largest['series']:.0f} series {largest['worst']:.2f} s (at most {MAX_CYCLE:.0f}), ",
        end="",
    )
    print(
        f"{largest['peak_kib']:.1f} KiB a series at the peak (at most {MAX_PEAK_KIB:.0f}): {'met' if met else 'missed'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
