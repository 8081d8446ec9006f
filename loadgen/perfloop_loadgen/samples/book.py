"""All measurements of a run: totals by endpoint, the last seconds, and a timeline of bounded length."""

from __future__ import annotations

import traceback
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_loadgen.samples.tally import Tally, sum_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_loadgen.samples.labels import Labels

# One window a second.
RECENT_WINDOWS = 10
MAX_POINTS = 1800
_LEAST_SPAN_SECONDS = 0.5
_LEAST_RECENT_SECONDS = 2.5


@dataclass(frozen=True, slots=True)
class Load:
    """The load at a moment, as it was requested, and the generator's own CPU (in cores) and delays."""

    users: int = 0
    target_rate: float | None = None
    cpu_ratio: float = 0.0
    loop_lag_seconds: float = 0.0
    phase: str = ""
    waiting: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """One span of the timeline; `elapsed_seconds` is its end."""

    elapsed_seconds: float
    span_seconds: float
    requests: int
    errors: int
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    lag_p99_seconds: float | None
    load: Load = field(default_factory=Load)
    # Answers by status code.
    statuses: dict[str, int] = field(default_factory=dict)


class ScriptErrors:
    """The exceptions that scenarios raised, once for each line of their code."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._taken = 0

    def note(self, error: Exception) -> None:
        """Keep the first exception of a line."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{frame.filename}, line {frame.lineno}"
        self._texts.setdefault(line, f"{type(error).__name__}: {error} ({line})")

    def take(self) -> list[str]:
        """Return what is new since the last call."""
        new = list(self._texts.values())[self._taken :]
        self._taken += len(new)
        return new


class Tracing(Protocol):
    """Gives requests their traces; `left` is how many more there are to the next one that gets one."""

    left: int

    def trace(self, request: Any) -> tuple[str, Any]:
        """Return a trace id and the request that carries it, and set `left` again."""


class Recorder:
    """The tallies that a hot loop writes to; `take` returns them and leaves empty ones."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.windows = [Tally() for _ in labels]
        self.script_errors = ScriptErrors()
        # Chooses the requests that carry a trace; None where none does.
        self.tracer: Tracing | None = None
        # A script may request an endpoint that no file lists.
        labels.on_new.append(self._add_windows)

    def _add_windows(self) -> None:
        self.windows += [Tally() for _ in range(len(self.labels) - len(self.windows))]

    def take(self) -> list[Tally]:
        """Return what was counted since the last call."""
        taken = self.windows[:]
        # The list itself is kept: lanes hold a reference to it.
        self.windows[:] = [Tally() for _ in taken]
        return taken


class Book:
    """Totals, recent windows and timeline of a run; its size does not depend on the number of requests.

    When the timeline is full, neighbouring points are merged and later points span twice as many windows.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.totals = [Tally() for _ in labels]
        # The same over all endpoints. Kept up to date, because to add up the totals takes tens of milliseconds.
        self._together = Tally()
        self.recent: deque[list[Tally]] = deque(maxlen=RECENT_WINDOWS)
        self._recent_spans: deque[float] = deque(maxlen=RECENT_WINDOWS)
        self.points: list[Point] = []
        self.load = Load()
        self.elapsed_seconds = 0.0
        # The most requests that ended in a second; None before the first whole one.
        self.peak_rate: float | None = None
        self._stride = 1
        self._unmerged: list[Point] = []

    def add(self, windows: Sequence[Tally], elapsed_seconds: float, span_seconds: float, load: Load) -> None:
        """Add what was counted over the last span; `windows` has one tally for each label."""
        self.totals += [Tally() for _ in windows[len(self.totals) :]]
        # Not strict: totals may already have rows that these windows do not have yet.
        for total, window in zip(self.totals, windows, strict=False):
            total.add(window)
        self.recent.append(list(windows))
        self._recent_spans.append(span_seconds)
        self.load = load
        self.elapsed_seconds = elapsed_seconds
        span = sum_of(list(windows))
        self._together.add(span)
        point = _point(span, elapsed_seconds, span_seconds, load)
        if span_seconds >= _LEAST_SPAN_SECONDS:
            # What a run adds at its end spans less than a second: its rate is that of a few answers.
            self.peak_rate = max(self.peak_rate or 0.0, point.requests / span_seconds)
        self._unmerged.append(point)
        if len(self._unmerged) >= self._stride:
            self.points.append(merge_points(self._unmerged))
            self._unmerged = []
        if len(self.points) > MAX_POINTS:
            self.points = [merge_points(self.points[at : at + 2]) for at in range(0, len(self.points), 2)]
            self._stride *= 2

    def restore(self, totals: Sequence[Tally], points: Sequence[Point], peak_rate: float | None) -> None:
        """Take what another book of the same labels had measured; this one is new."""
        self.totals = list(totals)
        self._together = sum_of(self.totals)
        self.points = list(points)
        self.elapsed_seconds = points[-1].elapsed_seconds if points else 0.0
        self.peak_rate = peak_rate

    def rows(self) -> list[tuple[str, Tally]]:
        """Return each label with its total."""
        return list(zip(self.labels, self.totals, strict=False))

    def timeline(self) -> list[Point]:
        """Return the points, oldest first, the unfinished stretch included."""
        return self.points + ([merge_points(self._unmerged)] if self._unmerged else [])

    def total(self) -> Tally:
        """Return everything, over all endpoints; it goes on to be added to while the run lasts."""
        return self._together

    def offered(self) -> int:
        """Return how many requests were due so far: those that ended, are under way or wait, or were dropped.

        Counted like those that ended, so that both have the same window wherever their rates are compared.
        """
        return self._together.requests + self._together.dropped + self.load.in_flight + self.load.waiting

    def recent_good_rate(self) -> float | None:
        """Return the good answers per second of the last seconds; None before there are a few, a burst is no rate."""
        seconds = sum(self._recent_spans)
        if seconds < _LEAST_RECENT_SECONDS:
            return None
        return sum(tally.requests - tally.errors for windows in self.recent for tally in windows) / seconds

    def lately(self) -> Tally:
        """Return the last seconds, over all endpoints."""
        return sum_of([tally for windows in self.recent for tally in windows])


def _point(tally: Tally, elapsed: float, span: float, load: Load) -> Point:
    p50, p95, p99 = tally.response.quantiles_seconds([0.5, 0.95, 0.99])
    lag = tally.lag.quantile_seconds(0.99)
    return Point(elapsed, span, tally.requests, tally.errors, p50, p95, p99, lag, load, tally.statuses_by_name())


def merge_points(points: Sequence[Point]) -> Point:
    """Return neighbours as one; the quantile is the larger one, so that a spike stays visible however long the run."""
    last = points[-1]
    return replace(
        last,
        span_seconds=sum(point.span_seconds for point in points),
        requests=sum(point.requests for point in points),
        errors=sum(point.errors for point in points),
        p50_seconds=worst_of(point.p50_seconds for point in points),
        p95_seconds=worst_of(point.p95_seconds for point in points),
        p99_seconds=worst_of(point.p99_seconds for point in points),
        lag_p99_seconds=worst_of(point.lag_p99_seconds for point in points),
        statuses=_sum(point.statuses for point in points),
    )


def _sum(statuses: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in statuses:
        total.update(counts)
    return dict(sorted(total.items()))


def worst_of(values: Iterable[float | None]) -> float | None:
    """Return the largest of the values that there are."""
    return max((value for value in values if value is not None), default=None)
