"""`record_metric` with two tags, side by side with prometheus_client's `labels(...).observe(...)`.

python benchmarks/instrument_record.py   exits 1 when the bar is missed
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram

from perfloop_base.buckets import DEFAULT
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.monitor import PerformanceMonitor

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = 0.65
CALLS = 20_000
ROUNDS = 25


def main() -> int:
    """Print both medians and their ratio."""
    monitor = PerformanceMonitor(MetricRegistry())
    peer = Histogram(
        "api_response_time_seconds", "Peer.", ("service", "zone"), registry=CollectorRegistry(), buckets=DEFAULT
    )
    values = [(number * 7919 % 3000) / 1.0 for number in range(CALLS)]

    def ours() -> None:
        record = monitor.record_metric
        for value in values:
            record("api_response_time_ms", value, None, {"service": "api", "zone": "a"})

    def positional() -> None:
        for value in values:
            peer.labels("api", "a").observe(value / 1000)

    def keywords() -> None:
        for value in values:
            peer.labels(service="api", zone="a").observe(value / 1000)

    medians = measure({"perfloop": ours, "positional": positional, "keywords": keywords})
    fast, slow = medians["perfloop"] / medians["positional"], medians["perfloop"] / medians["keywords"]
    print(f"record_metric, two tags                       {medians['perfloop']:8.0f} ns")
    print(f"prometheus_client labels(v, v).observe(x)     {medians['positional']:8.0f} ns   ratio {fast:.2f}")
    print(f"prometheus_client labels(k=v, k=v).observe(x) {medians['keywords']:8.0f} ns   ratio {slow:.2f}")
    print(f"bar: ratio <= {BAR} against the faster form: {'met' if fast <= BAR else 'missed'}")
    return 0 if fast <= BAR else 1


def measure(contenders: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The median nanoseconds of one call of each; rounds take turns, so that a slow moment hits all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            start = time.perf_counter_ns()
            work()
            times[name].append((time.perf_counter_ns() - start) / CALLS)
    return {name: statistics.median(found) for name, found in times.items()}


if __name__ == "__main__":
    sys.exit(main())
