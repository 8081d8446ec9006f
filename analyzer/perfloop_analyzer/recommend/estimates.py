"""What formulas of expected improvements read and return: levels with their errors, or why there is no number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from scipy.special import stdtrit

from perfloop_analyzer.recommend.recommendation import Improvement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend.rightsizing import Usage
    from perfloop_analyzer.series import Floats

CONFIDENCE = 0.95  # of the bounds
BLOCK = 4  # neighbouring points that share samples: a rate window is four scrape intervals, and the step is one
WIDTHS = (BLOCK, 2 * BLOCK, 4 * BLOCK)  # of blocks, for series that remember for longer
LEAST_BLOCKS = 4  # below that their means say nothing about their spread
LEAST_GAIN = 0.005


class UnknownGainError(Exception):
    """The inputs give no number; the message says why, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Course:
    """A signal before a finding began and since; points that see both are left out.

    Attributes:
        before, after: In the signal's unit, oldest first, without NaN and Inf; shapes (points,).
    """

    before: Floats
    after: Floats


class Measured(Protocol):
    """What a formula may read: values of a signal for a service."""

    def now(self, signal: str, service: str) -> float | None:
        """Return the newest value, None when there is none."""

    def peak(self, signal: str, service: str) -> float | None:
        """Return the largest value of the window."""

    def course(self, signal: str, finding: Finding) -> Course | None:
        """Return a signal of the finding's service before it and since; of its own pool or cache where it has one."""

    def series(self, signal: str, service: str) -> int:
        """Return how many series of a signal a service has."""

    def past(self, signal: str, finding: Finding) -> Usage | None:
        """Return what the days of history say about the use; None without history."""

    def window(self, signal: str, finding: Finding) -> Floats | None:
        """Return the same over the whole window, shape (points,), NaN where there is nothing."""


@dataclass(frozen=True, slots=True)
class Level:
    """A mean over time in a signal's unit, its standard error, and that error's degrees of freedom."""

    mean: float
    error: float
    freedom: float

    def __sub__(self, other: Level) -> Level:
        return _combined(self.mean - other.mean, (self.error, self.freedom), (other.error, other.freedom))

    def __truediv__(self, other: Level) -> Level:
        """Return the quotient, its error by the delta method."""
        ratio, size = self.mean / other.mean, abs(other.mean)
        return _combined(ratio, (self.error / size, self.freedom), (ratio * other.error / size, other.freedom))

    def bounds(self) -> tuple[float, float]:
        """Return between which values the mean of as many points will lie, some other time, with CONFIDENCE."""
        reach = math.sqrt(2) * float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.error
        return self.mean - reach, self.mean + reach


def _combined(mean: float, *errors: tuple[float, float]) -> Level:
    """Return a level of independent errors, each with its degrees of freedom (Welch and Satterthwaite, 1946)."""
    variances = [(error**2, freedom) for error, freedom in errors]
    total = sum(variance for variance, _ in variances)
    spread = sum(variance**2 / freedom for variance, freedom in variances)
    return Level(mean, math.sqrt(total), total**2 / spread if spread > 0 else min(f for _, f in variances))


def level_of(values: Floats) -> Level | None:
    """Return the level of points of shape (points,); None with fewer than two.

    The error is the larger of that of independent points and those of the means of blocks, of several widths: rates
    overlap, memory and queues near their limit remember for longer. With few blocks, each is one independent point.
    """
    count = len(values)
    if count <= 1:
        return None
    blocks, spread = count / BLOCK, float(values.std(ddof=1))
    error = spread / math.sqrt(count if blocks >= LEAST_BLOCKS else max(blocks, 1.0))
    for width in WIDTHS:
        if count >= LEAST_BLOCKS * width:
            means = values[count % width :].reshape(-1, width).mean(axis=1)
            error = max(error, float(means.std(ddof=1)) / math.sqrt(len(means)))
    return Level(float(values.mean()), error, max(blocks, LEAST_BLOCKS) - 1)


@dataclass(frozen=True, slots=True)
class Sides:
    """The levels of a signal before a finding and since."""

    before: Level
    after: Level

    @property
    def falls(self) -> tuple[float, float]:
        """Return by which share at least and at most the level falls when it returns, from 0 to 1."""
        low, high = (self.before / self.after).bounds()
        return min(max(1 - high, 0.0), 1.0), min(max(1 - low, 0.0), 1.0)


def sides_of(signal: str | None, finding: Finding, measured: Measured, *, gap: bool = False) -> Sides | None:
    """Return both levels of a signal, or with `gap` of its gap to 1; None where they are not known.

    Where the window has nothing from before, the finding remembers the level of its own signal. Its error is then taken
    from the error since, as of something that is counted: the variance falls with the mean.
    """
    course = measured.course(signal, finding) if signal else None
    if course is None:
        return None
    values = (1.0 - course.before, 1.0 - course.after) if gap else (course.before, course.after)
    before, after = (level_of(side) for side in values)
    if before is None and after is not None and signal == finding.signal and _remembers(finding, course):
        known = max(1.0 - finding.expected if gap else finding.expected, 0.0)
        # A resource that is full all the time does not vary, and says nothing about how the level before did.
        if after.mean > 0 and after.error > 0:
            before = Level(known, after.error * math.sqrt(known / after.mean), after.freedom)
    if before is None or after is None or after.mean <= 0 or before.mean < 0:
        return None
    # Nothing seen in n looks is up to three in n (the rule of three; Hanley and Lippman-Hand, 1983).
    error = max(before.error, 1.5 * after.error**2 / after.mean)
    return Sides(Level(before.mean, error, before.freedom), after)


def _remembers(finding: Finding, course: Course) -> bool:
    """Return whether the level before is one: not the limit, and not of points that see both levels."""
    is_old = len(course.before) > 0 or finding.onset <= finding.window[0]
    return is_old and not finding.has_no_baseline and math.isfinite(finding.expected)


def level_now(signal: str | None, finding: Finding, measured: Measured) -> float | None:
    """Return the mean of a signal since the finding began, its newest value where there are too few points."""
    course = measured.course(signal, finding) if signal else None
    if course is not None and len(course.after) >= BLOCK:
        return float(course.after.mean())
    return measured.now(signal, finding.service) if signal else None


def varied(signal: str, finding: Finding, measured: Measured) -> float:
    """Return by which share the level of a signal since a finding may differ from its mean; 0 where that is unknown."""
    course = measured.course(signal, finding)
    level = level_of(course.after) if course is not None else None
    return (level.bounds()[1] / level.mean - 1.0) if level is not None and level.mean > 0 else 0.0


def positive(value: float, what: str) -> float:
    """Return a value that a formula may divide by.

    Raises:
        UnknownGainError: It is 0, negative, NaN or infinite.
    """
    if not math.isfinite(value) or value <= 0:
        raise UnknownGainError(f"{what} is {value:g}, of which no share can be computed")
    return value


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of a metric now and after the change, in the metric's own unit.

    Where more is better (a hit ratio), they are its gap to 1.

    Attributes:
        metric: The signal.
        now: Its value while the finding holds.
        then: Its expected value afterwards; `best` and `worst` are the bounds.
        method: The formula, as rules files name it.
        words: Its inputs and result.
        size: How many servers, connections, users or bytes to provide, where the formula says that.
        added: How much of which priced resource that is more than now, by the name of its price.
        is_cut_off: Whether `now` is cut off at what can be measured, so that more may go away than the bounds say.
    """

    metric: str
    now: float
    then: float
    best: float
    worst: float
    method: str
    words: str
    size: float | None = None
    is_cut_off: bool = False
    added: Mapping[str, float] = field(default_factory=dict)

    def improvement(self) -> Improvement:
        """Return the shares that go away.

        Raises:
            UnknownGainError: There are none: the metric does not fall, or a value is not finite.
        """
        now = positive(self.now, self.metric.replace("_", " "))
        if not all(map(math.isfinite, (self.then, self.best, self.worst))):
            raise UnknownGainError(f"{self.metric.replace('_', ' ')} afterwards has no finite bounds")
        ratio, low, high = (min(max(1.0 - value / now, 0.0), 1.0) for value in (self.then, self.worst, self.best))
        if high < LEAST_GAIN:
            raise UnknownGainError("it is no worse than it would be afterwards")
        bounds = (ratio, min(low, ratio), max(high, ratio))
        return Improvement(*bounds, self.metric, self.method, self.words, at_least=self.is_cut_off, added=self.added)
