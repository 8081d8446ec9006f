"""The watch on the generator itself: its CPU and its event loop, whose delays would look like the service's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_loadgen.samples.histogram import SECOND, Histogram
from perfloop_loadgen.summary.verdict import Generator

if TYPE_CHECKING:
    from collections.abc import Callable


class Watch:
    """Measures the CPU used and how late the loop wakes, from one `look` to the next."""

    def __init__(self, cpu_seconds: Callable[[], float] = time.process_time) -> None:
        self._cpu_seconds = cpu_seconds
        self._cpu_before = cpu_seconds()
        self._lag = Histogram()
        self.lag_total = Histogram()
        self.busiest_ratio = 0.0
        self._cpu_began = self._cpu_before

    def woke(self, late_nanoseconds: int) -> None:
        """Record how much later than requested the loop continued."""
        # A sleep may end a little early by the clock's resolution.
        self._lag.record(max(0, late_nanoseconds))

    def sum_up(self, duration_seconds: float) -> Generator:
        """Return the figures of the whole run."""
        used = self._cpu_before - self._cpu_began
        return Generator(
            cpu_ratio=used / duration_seconds if duration_seconds else 0.0,
            busiest_cpu_ratio=self.busiest_ratio,
            event_loop_lag_p99_seconds=self.lag_total.quantile_seconds(0.99) or 0.0,
        )

    def look(self, span_nanoseconds: int) -> tuple[float, float]:
        """Return the share of one core that was used and the 99th percentile of the loop's lag, since last time."""
        cpu = self._cpu_seconds()
        ratio = (cpu - self._cpu_before) * SECOND / span_nanoseconds if span_nanoseconds else 0.0
        self._cpu_before = cpu
        lag = self._lag.quantile_seconds(0.99) or 0.0
        self.lag_total.merge(self._lag)
        self._lag = Histogram()
        self.busiest_ratio = max(self.busiest_ratio, ratio)
        return ratio, lag
