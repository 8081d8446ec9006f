"""The watch on the generator itself: its CPU and its event loop, whose delays would look like the service's."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from perfloop_loadgen.samples.histogram import SECOND, Histogram
from perfloop_loadgen.summary.verdict import Generator

if TYPE_CHECKING:
    from collections.abc import Callable

# Less than this is no second: a rate over it would be that of a burst.
_LEAST_NANOSECONDS = SECOND // 2
_MEGABIT_BYTES = 1_000_000 / 8


class Watch:
    """Measures the CPU used and how late the loop wakes, from one `look` to the next."""

    def __init__(self, cpu_seconds: Callable[[], float] = time.process_time) -> None:
        self._cpu_seconds = cpu_seconds
        self._cpu_before = cpu_seconds()
        self._lag = Histogram()
        self.lag_total = Histogram()
        self.busiest_ratio = 0.0
        self._cpu_began = self._cpu_before
        self._cards = Cards()
        self.busiest_network_ratio = 0.0

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
            network_ratio=self.busiest_network_ratio,
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
        self.busiest_network_ratio = max(self.busiest_network_ratio, self._cards.look(span_nanoseconds))
        return ratio, lag


class Cards:
    """Measures how full the network cards of the machine are, those whose speed the system knows."""

    def __init__(self) -> None:
        self._bytes_per_second: dict[str, float] = {}
        with suppress(OSError):
            self._bytes_per_second = {
                name: card.speed * _MEGABIT_BYTES
                for name, card in psutil.net_if_stats().items()
                if card.isup and card.speed > 0 and name != "lo"
            }
        self._before = self._read()

    def look(self, span_nanoseconds: int) -> float:
        """Return the use of the fullest card since last time, in its fuller direction, as a share of its speed."""
        now, before = self._read(), self._before
        self._before = now
        if span_nanoseconds < _LEAST_NANOSECONDS:
            return 0.0
        moved = {
            name: max(one - other for one, other in zip(now[name], before[name], strict=True))
            for name in now.keys() & before.keys()
        }
        shares = (count * SECOND / span_nanoseconds / self._bytes_per_second[name] for name, count in moved.items())
        return max(shares, default=0.0)

    def _read(self) -> dict[str, tuple[int, int]]:
        if not self._bytes_per_second:
            return {}
        counters: dict[str, tuple[int, int]] = {}
        with suppress(OSError):
            for name, card in psutil.net_io_counters(pernic=True).items():
                if name in self._bytes_per_second:
                    counters[name] = (card.bytes_sent, card.bytes_recv)
        return counters
