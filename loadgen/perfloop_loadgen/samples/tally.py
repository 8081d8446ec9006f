"""What was measured about one endpoint over one span of time; tallies add up without loss."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.samples.histogram import Histogram
from perfloop_loadgen.samples.phases import Phases
from perfloop_loadgen.samples.streams import StreamTally
from perfloop_loadgen.samples.traces import TraceTally

# A start this much after its due time is called late.
LATE_NANOSECONDS = 10_000_000
# A server may make up statuses and addresses: beyond so many, new ones are counted together.
MOST_STATUSES = 40
MOST_DETAILS = 30
OTHER_STATUS = 0
OTHER = "(other)"
# Beside the outcomes that have details: a redirect after which the request went on.
FOLLOWED = "followed"


class Tally:
    """Counts and histograms that add up over endpoints, seconds and processes.

    A request that starts exactly when it was due has one time, not two: it is counted once, in `on_time`.
    `response` (from the intended start) and `service` (from the actual start) share those counts; requests that
    started late have a pair of histograms of their own. Response times from the intended start are what avoids
    coordinated omission: a stalled service delays the requests after the stall too, and callers would have waited.
    """

    __slots__ = (
        "broken_off",
        "bytes_received",
        "checks",
        "connections",
        "details",
        "dropped",
        "iterations",
        "lag_behind",
        "late",
        "on_time",
        "outcomes",
        "phases",
        "response_behind",
        "retried",
        "service_behind",
        "statuses",
        "steps",
        "streams",
        "traces",
    )

    def __init__(self) -> None:
        self.on_time = Histogram()
        self.response_behind = Histogram()
        self.service_behind = Histogram()
        self.lag_behind = Histogram()
        self.outcomes: dict[str, int] = defaultdict(int)
        # Answers by status code, the redirects that were followed among them.
        self.statuses: dict[int, int] = defaultdict(int)
        # What an outcome was about: (`missing_value`, the value's name), (`redirect`, where it pointed).
        self.details: dict[tuple[str, str], int] = defaultdict(int)
        # New connections that were answered on, by (protocol, address that was connected to).
        self.connections: dict[tuple[str, str], int] = defaultdict(int)
        # Requests that were sent again: the server had closed the connection that they were sent on.
        self.retried = 0
        self.late = 0
        self.dropped = 0
        self.bytes_received = 0
        # Scenarios that were run to their end, and those that ended before it; a single request is none.
        self.iterations = self.broken_off = 0
        # Of the steps of a file, by (scenario, step, broke off): how often one was sent, or a pass broke off at it.
        self.steps: dict[tuple[int, int, bool], int] = defaultdict(int)
        # By the name of a check: how many answers passed it, and how many did not.
        self.checks: dict[tuple[str, bool], int] = defaultdict(int)
        self.phases = Phases()
        self.streams: StreamTally | None = None
        self.traces: TraceTally | None = None

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

    def note(self, outcome: str, detail: str, times: int = 1) -> None:
        """Count what an outcome was about."""
        known = (outcome, detail) in self.details or len(self.details) < MOST_DETAILS
        self.details[outcome, detail if known else OTHER] += times

    def add(self, other: Tally) -> None:
        """Add everything that the other tally counted."""
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for name in _COUNTS:
            counts = getattr(self, name)
            for key, count in getattr(other, name).items():
                counts[key] += count
        self._add_statuses(other)
        for (outcome, detail), count in other.details.items():
            self.note(outcome, detail, count)
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.phases.add(other.phases)
        if other.streams is not None:
            self.streams_here().add(other.streams)
        if other.traces is not None:
            self.traces_here().add(other.traces)

    def _add_statuses(self, other: Tally) -> None:
        for status, count in other.statuses.items():
            known = status in self.statuses or len(self.statuses) < MOST_STATUSES
            self.statuses[status if known else OTHER_STATUS] += count

    def streams_here(self) -> StreamTally:
        """Return the tally of streamed answers, created with the first one."""
        if self.streams is None:
            self.streams = StreamTally()
        return self.streams

    def traces_here(self) -> TraceTally:
        """Return the tally of sampled requests, created with the first one."""
        if self.traces is None:
            self.traces = TraceTally()
        return self.traces

    def statuses_by_name(self) -> dict[str, int]:
        """Return the number of answers by status code, ascending; those beyond the limit together at the end."""
        named = {f"{status}": count for status, count in sorted(self.statuses.items()) if status != OTHER_STATUS}
        return named | ({OTHER: self.statuses[OTHER_STATUS]} if OTHER_STATUS in self.statuses else {})

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
        wire |= {name: dict(getattr(self, name)) for name in (*_COUNTS, "statuses", "details")}
        wire["phases"] = self.phases.to_wire()
        wire["streams"] = None if self.streams is None else self.streams.to_wire()
        wire["traces"] = None if self.traces is None else self.traces.to_wire()
        return wire

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Tally:
        """Build the tally that `to_wire` was called on."""
        tally = cls()
        for name in _HISTOGRAMS:
            setattr(tally, name, Histogram(wire[name]))
        for name in _NUMBERS:
            setattr(tally, name, wire[name])
        for name in (*_COUNTS, "statuses", "details"):
            getattr(tally, name).update(wire[name])
        tally.phases = Phases.from_wire(wire["phases"])
        if wire["streams"] is not None:
            tally.streams = StreamTally.from_wire(wire["streams"])
        if wire.get("traces") is not None:  # a snapshot of an earlier version has none
            tally.traces = TraceTally.from_wire(wire["traces"])
        return tally


_HISTOGRAMS = ("on_time", "response_behind", "service_behind", "lag_behind")
_COUNTS = ("outcomes", "checks", "steps", "connections")
_NUMBERS = ("late", "dropped", "bytes_received", "iterations", "broken_off", "retried")


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
