"""Rendering 10,000 application series, side by side with prometheus_client's generate_latest: same bytes, less time.

python benchmarks/instrument_render.py   exits 1 when the bar is missed
"""

from __future__ import annotations

import os
import statistics
import sys
import time

os.environ["PROMETHEUS_DISABLE_CREATED_SERIES"] = "true"  # Prometheus' own advice, and one series less for the peer

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from perfloop_base.buckets import DEFAULT
from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.registry import MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = 3.0
SERIES = 10_000
ROUNDS = 15
LABELS = ("http_request_method", "http_route", "http_response_status_code")
# A histogram's series are its buckets, +Inf, the count and the sum; and one counter beside each.
CHILDREN = SERIES // (len(DEFAULT) + 4)


def main() -> int:
    """Print both medians and their ratio."""
    ours, theirs = MetricRegistry(Limits(label_values=SERIES, series=SERIES)), CollectorRegistry()
    pairs = [
        (
            ours.histogram("work_seconds", "Work.", LABELS),
            Histogram("work_seconds", "Work.", LABELS, registry=theirs, buckets=DEFAULT),
        ),
        (ours.counter("jobs_total", "Jobs.", LABELS), Counter("jobs", "Jobs.", LABELS, registry=theirs)),
    ]

    def change() -> None:
        """Move every series, so that no scrape can answer from the one before."""
        for child in range(CHILDREN):
            labels = ("GET", f"/api/v1/route/{child}", "200")
            for histogram in pairs[0]:
                histogram.labels(*labels).observe(child % 13 / 3)
            for counter in pairs[1]:
                counter.labels(*labels).inc(child % 7)

    change()
    text = render(ours.families())
    same = text == generate_latest(theirs)
    count = sum(not line.startswith(b"#") for line in text.splitlines())
    fast, slow = measure([lambda: render(ours.families()), lambda: generate_latest(theirs)], change)
    same = same and render(ours.families()) == generate_latest(theirs)
    ratio = slow / fast
    met = ratio >= BAR and same
    print(f"series rendered                    {count:8d}   the same bytes: {same}")
    print(f"perfloop render                    {fast:8.2f} ms")
    print(f"prometheus_client generate_latest  {slow:8.2f} ms   {ratio:.1f} times slower")
    print(f"bar: >= {BAR:.0f} times faster, same bytes: {'met' if met else 'missed'}")
    return 0 if met else 1


def measure(contenders: list[Callable[[], bytes]], before: Callable[[], None]) -> list[float]:
    """The median milliseconds of each; rounds take turns, so that a slow moment hits both."""
    times: list[list[float]] = [[] for _ in contenders]
    for _ in range(ROUNDS):
        before()
        for found, work in zip(times, contenders, strict=True):
            start = time.perf_counter()
            work()
            found.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(found) for found in times]


if __name__ == "__main__":
    sys.exit(main())
