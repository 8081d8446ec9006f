"""When requests start: the shapes of load, as pure functions of the time since the run began.

A closed shape says how many users are active at a moment; each of them waits for its answer before it asks again, so
a service that slows down is asked less. An open shape is a schedule of starts that does not wait for answers: what a
caller would have waited is then counted, not lost ("coordinated omission", Tene 2013, "How NOT to measure latency").
Times are seconds since the beginning of the run, rates are requests per second.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from dataclasses import dataclass
from itertools import count, islice, takewhile
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.shares import Share


@runtime_checkable
class UserShape(Protocol):
    """The closed model: a number of users at each moment."""

    @property
    def duration_seconds(self) -> float | None:
        """Return how long the shape lasts; None: until the run is stopped."""

    @property
    def max_users(self) -> int:
        """Return the largest number of users that the shape ever asks for."""

    def users_at(self, elapsed_seconds: float) -> int:
        """Return how many users are active."""

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the part of the shape, for annotations and reports."""


@runtime_checkable
class RateShape(Protocol):
    """The open model: requests start on a schedule."""

    @property
    def duration_seconds(self) -> float | None:
        """Return how long the shape lasts; None: until the run is stopped."""

    def rate_at(self, elapsed_seconds: float) -> float:
        """Return the requests per second that are asked for."""

    def starts(self) -> Iterator[float]:
        """Yield the second at which each request is due; never descending."""

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the part of the shape, for annotations and reports."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Move on a straight line to `goal` (users, or requests per second) within `seconds`."""

    goal: float
    seconds: float
    name: str = ""


def value_at(start: float, stages: Sequence[Stage], elapsed_seconds: float) -> float:
    """Return the height of the line through the stages; after the last stage, its goal."""
    height, begun = start, 0.0
    for stage in stages:
        if elapsed_seconds < begun + stage.seconds:
            return height + (stage.goal - height) * (elapsed_seconds - begun) / stage.seconds
        height, begun = stage.goal, begun + stage.seconds
    return height


def stage_at(stages: Sequence[Stage], elapsed_seconds: float) -> str:
    """Name the stage of a moment; a stage without a name is called by its number."""
    begun = 0.0
    for number, stage in enumerate(stages, 1):
        begun += stage.seconds
        if elapsed_seconds < begun or number == len(stages):
            return stage.name or f"stage {number}"
    return ""


@dataclass(frozen=True, slots=True)
class ConstantUsers:
    """`users` from the end of the ramp up to the start of the ramp down; both lie inside the duration."""

    users: int
    duration_seconds: float | None
    ramp_up_seconds: float = 0.0
    ramp_down_seconds: float = 0.0

    @property
    def max_users(self) -> int:
        """Return the plateau."""
        return self.users

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the active users, at least one while the shape lasts."""
        if self.duration_seconds is not None and elapsed_seconds >= self.duration_seconds:
            return 0
        share = min(self._ramped_up(elapsed_seconds), self._before_end(elapsed_seconds))
        return max(1, math.floor(share * self.users))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name ramp or plateau."""
        if elapsed_seconds < self.ramp_up_seconds:
            return "ramp up"
        return "steady" if self._before_end(elapsed_seconds) >= 1 else "ramp down"

    def _ramped_up(self, elapsed: float) -> float:
        return min(1.0, elapsed / self.ramp_up_seconds) if self.ramp_up_seconds else 1.0

    def _before_end(self, elapsed: float) -> float:
        if self.duration_seconds is None or not self.ramp_down_seconds:
            return 1.0
        return min(1.0, (self.duration_seconds - elapsed) / self.ramp_down_seconds)


@dataclass(frozen=True, slots=True)
class RampingUsers:
    """Users along stages, from `start` users."""

    start: int
    stages: tuple[Stage, ...]

    @property
    def duration_seconds(self) -> float | None:
        """Return the sum of the stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def max_users(self) -> int:
        """Return the highest corner of the line."""
        return math.ceil(max(self.start, *(stage.goal for stage in self.stages)))

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the line's height, rounded."""
        return round(value_at(self.start, self.stages, elapsed_seconds))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the stage."""
        return stage_at(self.stages, elapsed_seconds)


@dataclass(frozen=True, slots=True)
class Spike:
    """`base` users, `peak` users from `after_seconds` for `spike_seconds`, `base` again until the end."""

    base: int
    peak: int
    after_seconds: float
    spike_seconds: float
    rise_seconds: float
    duration_seconds: float | None

    @property
    def max_users(self) -> int:
        """Return the peak."""
        return max(self.base, self.peak)

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return (
            Stage(self.base, self.after_seconds, "before"),
            Stage(self.peak, self.rise_seconds, "spike"),
            Stage(self.peak, self.spike_seconds, "spike"),
            Stage(self.base, self.rise_seconds, "recovery"),
            # The line stays where its last stage ends: how long that one takes does not matter.
            Stage(self.base, 1.0, "recovery"),
        )

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the active users."""
        return round(value_at(self.base, self._stages, elapsed_seconds))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name before, spike or recovery."""
        return stage_at(self._stages, elapsed_seconds)


@dataclass(frozen=True, slots=True)
class Endurance:
    """The same users from the first second to the last; the run is judged by how far response times drift."""

    users: int
    duration_seconds: float | None

    @property
    def max_users(self) -> int:
        """Return the users."""
        return self.users

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the users while the shape lasts."""
        over = self.duration_seconds is not None and elapsed_seconds >= self.duration_seconds
        return 0 if over else self.users

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every user shape
        """Name the only part."""
        return "steady"


@dataclass(frozen=True, slots=True)
class UserShare:
    """One worker's share of a shape: every `of`-th user, from `index`; the shares add up to the shape at any moment."""

    shape: UserShape
    index: int
    of: int

    @property
    def duration_seconds(self) -> float | None:
        """Return how long the whole shape lasts."""
        return self.shape.duration_seconds

    @property
    def max_users(self) -> int:
        """Return the most users that this share ever has."""
        return self._share_of(self.shape.max_users)

    def users_at(self, elapsed_seconds: float) -> int:
        """Return how many users of this share are active."""
        return self._share_of(self.shape.users_at(elapsed_seconds))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the part of the whole shape."""
        return self.shape.phase_at(elapsed_seconds)

    def _share_of(self, users: int) -> int:
        return max(0, -(-(users - self.index) // self.of))


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """The k-th request is due at k / rate: computed from k, so that no rounding error adds up."""

    rate: float
    duration_seconds: float | None

    def rate_at(self, elapsed_seconds: float) -> float:  # noqa: ARG002 - the protocol of every rate shape
        """Return the rate."""
        return self.rate

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        for number in count():
            due = number / self.rate
            if self.duration_seconds is not None and due >= self.duration_seconds:
                return
            yield due

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every rate shape
        """Name the only part."""
        return "steady"


@dataclass(frozen=True, slots=True)
class PoissonRate:
    """Independent arrivals, as from callers who know nothing of each other: a Poisson process.

    Its gaps are exponentially distributed with the mean 1 / rate. They come from a seed, so that a run can be repeated.
    """

    rate: float
    duration_seconds: float | None
    seed: int = 1

    def rate_at(self, elapsed_seconds: float) -> float:  # noqa: ARG002 - the protocol of every rate shape
        """Return the mean rate."""
        return self.rate

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        gaps = random.Random(self.seed)  # noqa: S311 - a load pattern, not a secret
        due = gaps.expovariate(self.rate)
        while self.duration_seconds is None or due < self.duration_seconds:
            yield due
            due += gaps.expovariate(self.rate)

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every rate shape
        """Name the only part."""
        return "steady"


@dataclass(frozen=True, slots=True)
class RampingRate:
    """A rate along stages: the k-th request is due where the area under the line reaches k, solved exactly."""

    start: float
    stages: tuple[Stage, ...]

    @property
    def duration_seconds(self) -> float | None:
        """Return the sum of the stages."""
        return sum(stage.seconds for stage in self.stages)

    def rate_at(self, elapsed_seconds: float) -> float:
        """Return the height of the line."""
        return value_at(self.start, self.stages, elapsed_seconds)

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        number, begun, area, height = 0, 0.0, 0.0, self.start
        for stage in self.stages:
            stage_area = (height + stage.goal) / 2 * stage.seconds
            slope = (stage.goal - height) / stage.seconds
            while number - area < stage_area:
                yield begun + _time_of_area(height, slope, number - area)
                number += 1
            area += stage_area
            begun += stage.seconds
            height = stage.goal

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the stage."""
        return stage_at(self.stages, elapsed_seconds)


@dataclass(frozen=True, slots=True)
class RecordedRate:
    """The moments of a recording, which ascend; what is later than the duration is left out."""

    seconds: Sequence[float]
    duration_seconds: float | None

    def rate_at(self, elapsed_seconds: float) -> float:
        """Return how many requests are due within the second around a moment."""
        low, high = (bisect_left(self.seconds, elapsed_seconds + half) for half in (-0.5, 0.5))
        return float(high - low)

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        last = math.inf if self.duration_seconds is None else self.duration_seconds
        return takewhile(lambda due: due <= last, iter(self.seconds))

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every rate shape
        """Name the only part."""
        return "trace"


def due_between(shape: RateShape, share: Share, since_seconds: float, until_seconds: float) -> int:
    """Return how many arrivals of a share are due from one second of the schedule on and before another."""
    index, of = share
    due = takewhile(lambda second: second < until_seconds, islice(shape.starts(), index, None, of))
    return sum(second >= since_seconds for second in due)


def _time_of_area(height: float, slope: float, area: float) -> float:
    """Return t with height * t + slope * t² / 2 = area.

    The root is written as 2 c / (b + √(b² + 2 a c)), the form in which nearly equal numbers are never subtracted.
    """
    root = math.sqrt(max(0.0, height * height + 2 * slope * area))
    return 2 * area / (height + root) if height + root else 0.0
