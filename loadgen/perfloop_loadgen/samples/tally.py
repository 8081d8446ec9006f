"""What was measured about one endpoint over one span of time; tallies add up without loss."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.samples.histogram import Histogram
from perfloop_loadgen.samples.phases import Phases
from perfloop_loadgen.samples.streams import StreamTally

# A start this much after its due time is called late.
LATE_NANOSECONDS = 10_000_000


class Tally:
    """Counts and histograms that add up over endpoints, seconds and processes.

    A request that starts exactly when it was due has one time, not two: it is counted once, in `on_time`.
    `response` (from the intended start) and `service` (from the actual start) share those counts; requests that
    started late have a pair of histograms of their own. Response times from the intended start are what avoids
    coordinated omission: a stalled service delays the requests after the stall too, and callers would have waited.
    """

    __slots__ = (
        "bytes_received",
        "checks",
        "dropped",
        "iterations",
        "lag_behind",
        "late",
        "on_time",
        "outcomes",
        "phases",
        "response_behind",
        "service_behind",
        "streams",
    )

    def __init__(self) -> None:
        self.on_time = Histogram()
        self.response_behind = Histogram()
        self.service_behind = Histogram()
        self.lag_behind = Histogram()
        self.outcomes: dict[str, int] = defaultdict(int)
        self.late = 0
        self.dropped = 0
        self.bytes_received = 0
        # Scenarios that were run to their end; a single request is none.
        self.iterations = 0
        # By the name of a check: how many answers passed it, and how many did not.
        self.checks: dict[tuple[str, bool], int] = defaultdict(int)
        self.phases = Phases()
        self.streams: StreamTally | None = None

    def record_behind(self, intended: int, started: int, ended: int) -> None:
        """Count a request that started after it was due; moments in nanoseconds."""
        self.response_behind.record(ended - intended)
        self.service_behind.record(ended - started)
        self.record_lag(started - intended)

    def record_lag(self, nanoseconds: int) -> None:
        """Count how long after it was due a request started."""
        self.lag_behind.record(nanoseconds)
        if nanoseconds > LATE_NANOSECONDS:
            self.late += 1

    def add(self, other: Tally) -> None:
        """Add everything that the other tally counted."""
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        for check, count in other.checks.items():
            self.checks[check] += count
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.phases.add(other.phases)
        if other.streams is not None:
            self.streams_here().add(other.streams)

    def streams_here(self) -> StreamTally:
        """Return the tally of streamed answers, created with the first one."""
        if self.streams is None:
            self.streams = StreamTally()
        return self.streams

    @property
    def requests(self) -> int:
        """Return how many requests ended, whatever the outcome."""
        return sum(self.outcomes.values())

    @property
    def errors(self) -> int:
        """Return how many of them were not answered as expected."""
        return self.requests - self.outcomes.get(OK, 0)

    @property
    def response(self) -> Histogram:
        """Return the times from the intended start to the end of the answer."""
        return _sum_of(self.on_time, self.response_behind)

    @property
    def service(self) -> Histogram:
        """Return the times from the actual start to the end of the answer."""
        return _sum_of(self.on_time, self.service_behind)

    def phases_by_name(self) -> dict[str, Histogram]:
        """Return the phases of requests, those that there were; none from an engine that does not measure them."""
        # Without a connection that was seen, no phase was: an engine measures all of them, or none.
        if not self.phases.connect.counts:
            return {}
        return self.phases.by_name(self.service)

    @property
    def lag(self) -> Histogram:
        """Return how far behind the schedule requests started; those on time count as zero."""
        on_time = self.on_time.count
        return _sum_of(Histogram({0: on_time} if on_time else {}), self.lag_behind)

    def to_wire(self) -> dict[str, Any]:
        """Return plain values that another process can build the same tally from."""
        wire: dict[str, Any] = {name: dict(getattr(self, name).counts) for name in _HISTOGRAMS}
        wire |= {name: getattr(self, name) for name in _NUMBERS}
        wire["outcomes"] = dict(self.outcomes)
        wire["checks"] = dict(self.checks)
        wire["phases"] = self.phases.to_wire()
        wire["streams"] = None if self.streams is None else self.streams.to_wire()
        return wire

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Tally:
        """Build the tally that `to_wire` was called on."""
        tally = cls()
        for name in _HISTOGRAMS:
            setattr(tally, name, Histogram(wire[name]))
        for name in _NUMBERS:
            setattr(tally, name, wire[name])
        tally.outcomes.update(wire["outcomes"])
        tally.checks.update(wire["checks"])
        tally.phases = Phases.from_wire(wire["phases"])
        if wire["streams"] is not None:
            tally.streams = StreamTally.from_wire(wire["streams"])
        return tally


_HISTOGRAMS = ("on_time", "response_behind", "service_behind", "lag_behind")
_NUMBERS = ("late", "dropped", "bytes_received", "iterations")


def _sum_of(first: Histogram, second: Histogram) -> Histogram:
    # Copying is cheaper than merging: the larger one is copied.
    smaller, larger = sorted((first, second), key=lambda histogram: len(histogram.counts))
    total = Histogram(larger.counts)
    total.merge(smaller)
    return total


def sum_of(tallies: list[Tally]) -> Tally:
    """Add tallies up into a new one."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total
