"""Speed and memory: a whole cycle on 10,000 series x 240 points, growth to 50,000, change points beside Apache Otava.

Usage: python benchmarks/analyzer_speed.py [--series 10000] [--growth] The answers are real Prometheus JSON, served
from memory over a transport, so that the cycle decodes what it would decode. CPU is the process's own; decoding alone
is the same bytes through the same decoder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from dataclasses import replace

import httpx
import numpy as np
import peers

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.detectors.change_point import find_change_points
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.pipeline import Knowledge
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.prometheus_api.decode import decode_range
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.series import Grid
from perfloop_analyzer.store import Database

POINTS, STEP, NOW = 240, 15.0, 1.7e9
# The long view has an interval of its own; here a cycle is what happens every ten seconds.
CONFIG = RunConfig(step_seconds=STEP, rate_window="1m", history_interval_seconds=1e12, burn_interval_seconds=1e12)
# The bars: a cycle against decoding alone, peak memory at 10,000 series, change points against Otava.
MAX_RATIO, MAX_PEAK_MIB, BAR_SERIES, MIN_OTAVA_RATIO = 3, 1024, 10_000, 50
NOTHING = b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'
SIGNALS = ("api_response_time_p95", "db_query_time_p95", "cpu_used_ratio", "memory_used_ratio", "cache_hit_ratio")


def answer(rows: int, signal: str, rng: np.random.Generator) -> bytes:
    """Return a matrix answer of healthy series as Prometheus writes it; one series in two thousand is in trouble."""
    start = NOW - STEP * (POINTS - 1)
    times = [start + STEP * at for at in range(POINTS)]
    level = 0.95 if signal == "cache_hit_ratio" else 0.05
    values = level + 0.005 * rng.standard_normal((rows, POINTS))
    values[::2000, -20:] += -0.4 if signal == "cache_hit_ratio" else 1.5
    result = [
        {
            "metric": {"service": f"s{row % 50}", "instance": f"i{row}"},
            "values": [[at, f"{value:.17g}"] for at, value in zip(times, line, strict=True)],
        }
        for row, line in enumerate(values.tolist())
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def cpu() -> float:
    """Return the CPU seconds of this process so far."""
    return time.process_time()


async def measure(series: int) -> dict[str, float]:
    """Run warm cycles on so many series; return CPU of cycle and of decoding, and the peak memory."""
    rng = np.random.default_rng(1)
    rows = series // len(SIGNALS)
    bodies = {name: answer(rows, name, rng) for name in SIGNALS}
    catalog = [signal for signal in load_catalog() if signal.name in SIGNALS]
    expressions = {signal.query("1m"): signal.name for signal in catalog}

    def respond(request: httpx.Request) -> httpx.Response:
        form = httpx.QueryParams(request.content.decode())
        # What the analyzer publishes of itself does not exist yet.
        return httpx.Response(200, content=bodies.get(expressions.get(form["query"], ""), NOTHING))

    config = replace(CONFIG, source=SourceConfig("http://memory"))
    transport = httpx.MockTransport(respond)
    grid = Grid(NOW - STEP * (POINTS - 1), STEP, POINTS)
    decoding = min(_decode(bodies, grid) for _ in range(3))
    async with PrometheusSource(config.source, transport) as source:
        loop = Loop(config, source, Database("sqlite://"), Knowledge(catalog, load_rules()))
        await loop.cycle(NOW)
        cycles = []
        for number in range(3):
            before = cpu()
            result = await loop.cycle(NOW + number * 1e-6)
            cycles.append(cpu() - before)
    assert result is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = len(result.findings)
    return {"series": result.series, "cycle": min(cycles), "decoding": decoding, "peak_mib": peak, "findings": found}


def _decode(bodies: dict[str, bytes], grid: Grid) -> float:
    before = cpu()
    for name, body in bodies.items():
        decode_range(body, name, grid)
    return cpu() - before


def change_points(count: int) -> dict[str, float]:
    """Return series per CPU second of Perfloop and of Apache Otava, on the same series of 365 points with one step."""
    rng = np.random.default_rng(1)
    values = 100 + rng.standard_normal((count, 365))
    values[:, 200:] += 2.0
    find_change_points(values[:50])
    few = values[: max(20, count // 50)]
    # Of both the best of three, in turn: other work on the machine costs cache, not only time.
    ours, otava = [], []
    for _ in range(3):
        before = cpu()
        find_change_points(values)
        ours.append(count / (cpu() - before))
        otava.append(len(few) / peers.find_change_points("otava", few).cpu_seconds)
    return {"ours": max(ours), "otava": max(otava)}


def main() -> int:
    """Print the figures next to their bars; return 1 if one is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--growth", action="store_true", help="also 20,000 and 50,000 series")
    parser.add_argument("--without-otava", action="store_true")
    arguments = parser.parse_args()
    report: dict[str, object] = {}
    met = True
    for series in (arguments.series, *((20_000, 50_000) if arguments.growth else ())):
        got = asyncio.run(measure(series))
        ratio = got["cycle"] / got["decoding"]
        met = met and ratio <= MAX_RATIO and (series > BAR_SERIES or got["peak_mib"] <= MAX_PEAK_MIB)
        report[str(series)] = got | {"ratio": ratio}
        print_cycle(got, ratio)
    if not arguments.without_otava:
        rates = change_points(2000)
        ratio = rates["ours"] / rates["otava"]
        met = met and ratio >= MIN_OTAVA_RATIO
        print(
            f"change points: ours {rates['ours']:.0f} series/s, Otava {rates['otava']:.0f}: {ratio:.0f} x "
            f"(bar {MIN_OTAVA_RATIO})"
        )
        report["change_points"] = rates
    print(json.dumps(report))
    print("bars met" if met else "bars missed")
    return 0 if met else 1


def print_cycle(got: dict[str, float], ratio: float) -> None:
    """Print what a cycle cost."""
    each = 1e6 * got["cycle"] / got["series"]
    print(f"{got['series']:6.0f} series x {POINTS}: cycle {got['cycle']:.2f} s of CPU, {each:.0f} us a series")
    found = f"{got['findings']:.0f} findings"
    print(f"    decoding alone {got['decoding']:.2f} s, ratio {ratio:.2f} (bar {MAX_RATIO}), {found}")
    print(
        f"    peak memory {got['peak_mib']:.0f} MiB, the test's answers included (bar {MAX_PEAK_MIB} at 10,000)",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
