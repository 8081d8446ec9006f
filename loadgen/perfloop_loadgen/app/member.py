"""One worker as its fleet knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop_loadgen.samples.histogram import SECOND, Histogram
from perfloop_loadgen.summary.verdict import Generator
from perfloop_loadgen.summary.workers import WorkerFigures, title_of

if TYPE_CHECKING:
    from perfloop_loadgen.app.crew import Line
    from perfloop_loadgen.samples.book import Load
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.shares import Share


@dataclass(slots=True)
class Member:
    """One worker.

    Attributes:
        line: how it is held.
        number: which worker, from 1, of `of`.
        shares: its parts of the load, each with the second of the load from which on it sends them.
        loads: by share, what it said last.
        heard: when it said anything last, in nanoseconds of this machine's clock.
        reported_seconds: the second of the load up to which its counts are known.
        began_late: how long after the common moment it began, in nanoseconds.
        lost: why it did not come to the end.
    """

    line: Line
    number: int
    of: int
    shares: list[tuple[Share, float]] = field(default_factory=list)
    loads: dict[Share, Load] = field(default_factory=dict)
    heard: int = 0
    reported_seconds: float = 0.0
    began_late: int = 0
    lost: str = ""
    ready: bool = False
    over: bool = False
    is_late: bool = False
    generator: Generator | None = None
    _requests: int = 0
    _dropped: int = 0
    _lag: Histogram = field(default_factory=Histogram)

    @property
    def title(self) -> str:
        """Return the worker as sentences name it."""
        return title_of(self.number, self.of, self.line.name)

    def count(self, tally: Tally) -> None:
        """Add what it counted to its own figures."""
        self._requests += tally.requests
        self._dropped += tally.dropped
        self._lag.merge(tally.lag)

    def figures(self) -> WorkerFigures:
        """Return its figures; of one that did not come to its end, what it said last."""
        generator, ahead = self.generator or self._as_it_was(), self.line.clock_ahead
        error = self.line.clock_error
        return WorkerFigures(
            number=self.number,
            of=self.of,
            name=self.line.name,
            host=self.line.host,
            requests=self._requests,
            dropped=self._dropped,
            schedule_lag_p99_seconds=self._lag.quantile_seconds(0.99),
            cpu_ratio=generator.cpu_ratio,
            busiest_cpu_ratio=generator.busiest_cpu_ratio,
            event_loop_lag_p99_seconds=generator.event_loop_lag_p99_seconds,
            network_ratio=generator.network_ratio,
            clock_offset_seconds=None if error is None else ahead / SECOND,
            clock_error_seconds=(error or 0) / SECOND,
            began_late_seconds=self.began_late / SECOND,
            lost=self.lost,
        )

    def _as_it_was(self) -> Generator:
        loads = self.loads.values()
        cpu = max((load.cpu_ratio for load in loads), default=0.0)
        lag = max((load.loop_lag_seconds for load in loads), default=0.0)
        return Generator(cpu, cpu, lag)
