"""Whether a recommendation improved its metric: the values while its trouble stood against those after the change.

The points are one rate window apart, so that no two share a sample. `level_shift` says how far the level moved and how
sure that is, whatever memory the noise has. The gain is 1 minus the ratio of the levels after and before, of logarithms
where every value is positive: the noise of times and rates grows with them. Of a ratio that should be high, such as
cache hits, the complement to 1 is compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import median_filter
from scipy.optimize import brentq

from perfloop_analyzer.recommend.level_shift import AFTER, BEFORE, NORMAL, Levels, Noise, compare_levels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.series import Floats

LEAST_BEFORE = 3  # points
LEAST_AFTER = 10  # points
# The windows from the last point before the change to the first after it: those between still see samples from before.
GAP = 2
# The chance of a gain where there is none, over all looks: Kayenta judges a canary at the same 98% (both sides).
CHANCE = 0.01
# Most of it belongs to the first look: ten windows are what a person waits for.
FIRST_LOOK, LATER_LOOK = 0.7 * CHANCE, 0.15 * CHANCE
LEAST_GAIN = 0.05  # less is not worth a change, and slow drifts bring as much
SPIKE = 5.0  # scaled median deviations; a single value farther out counts as that far (Hampel's identifier)
NEIGHBOURS = 5  # points; two values in a row are still a spike, three are a level
# Ratios of the levels between which the gain is searched, as logarithms: from 1 / 160,000 to 100.
SMALLEST, LARGEST = -12.0, math.log(100.0)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is compared. In Unix seconds: the finding held from `since` to `until`, the change was at `changed`.

    `promised` is the cautious bound of the expected gain; 0 where none was expected of this metric. From start to end
    of each of `proofs` the change was tried and taken back: those windows say nothing.
    """

    metric: str
    service: str
    labels: Mapping[str, str]
    since: float
    until: float
    changed: float
    promised: float = 0.0
    proofs: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """One metric, a point each rate window, NaN where there is none; arrays of the shape (points,).

    Attributes:
        before: While the trouble stood, the last point at the change.
        after: From GAP windows after the change on.
        normal: Before the trouble, the last point at its start; may be empty.
    """

    before: Floats
    after: Floats
    normal: Floats = field(default_factory=lambda: np.empty(0))

    def first(self, points: int) -> Course | None:
        """Return the course with the first so many finite points after the change; None when there are fewer."""
        there = np.flatnonzero(np.isfinite(self.after))
        return None if len(there) < points else Course(self.before, self.after[: there[points - 1] + 1], self.normal)

    def moved(self, windows: int) -> Course:
        """Return the course with the change so many windows later, or earlier when negative; both spans keep points."""
        both, at = np.concatenate([self.before, self.after]), len(self.before) + windows
        return Course(both[:at], both[at:], self.normal)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The measured gain as a share of the metric with its interval, 98.6% at the first look.

    Attributes:
        p_value: The chance that there is no gain.
        before, after: The medians of both spans.
    """

    gain: float
    low: float
    high: float
    p_value: float
    before: float
    after: float

    @property
    def holds(self) -> bool:
        """Whether the metric improved by what is worth a change, and not by chance."""
        return self.low > 0 and self.gain >= LEAST_GAIN

    @property
    def is_nothing(self) -> bool:
        """Whether a gain that is worth a change is excluded."""
        return self.high < LEAST_GAIN

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


def judge(
    before: Floats, after: Floats, *, above: bool, normal: Floats | None = None, chance: float = FIRST_LOOK
) -> Verdict | None:
    """Compare two spans of one metric, each of the shape (points,), a rate window from point to point.

    Args:
        before: While the trouble stood; the last point is at the change.
        after: From GAP windows after the change on.
        above: Whether high values are bad.
        normal: Before the trouble; the metric's own movement is learned from it.
        chance: That the interval misses the gain, on each side.

    Returns:
        The verdict; None with fewer than LEAST_BEFORE or LEAST_AFTER finite points, or when there was nothing to gain.
    """
    course = _prepare(Course(before, after, np.empty(0) if normal is None else normal), above=above)
    if course is None:
        return None
    values, is_log = _scale(course)
    times, finite, spans = _points(course, values)
    levels = compare_levels(Noise.at(times), finite, spans)
    gain, low, high = (_gain(levels, share, is_log=is_log) for share in (0.5, chance, 1.0 - chance))
    p_value = _chance_of_more(levels, 0.0, is_log=is_log)
    # The medians are shown as the metric is read.
    return Verdict(gain, low, high, p_value, float(np.nanmedian(before)), float(np.nanmedian(after)))


def weigh_places(course: Course, *, above: bool) -> dict[int, float]:
    """Return how well one step at each place explains both spans, as the logarithm of its likelihood.

    The key is the place in points: 0 is the change, -3 leaves three points before it to the level after. Empty where
    the spans are too short.
    """
    prepared = _prepare(Course(course.before, course.after), above=above)
    if prepared is None:
        return {}
    values, _ = _scale(prepared)
    times, finite, at_change = _points(prepared, values)
    noise = Noise.at(times)
    changed = int((at_change == BEFORE).sum())
    evidence = {}
    for index in range(LEAST_BEFORE, len(finite) - LEAST_BEFORE + 1):
        spans = np.where(np.arange(len(finite)) < index, BEFORE, AFTER)
        evidence[index - changed] = compare_levels(noise, finite, spans).evidence
    return evidence


def _prepare(course: Course, *, above: bool) -> Course | None:
    """Return the course of what should fall; None where it cannot be compared."""
    if not above:
        course = Course(1.0 - course.before, 1.0 - course.after, 1.0 - course.normal)
    held, then = (span[np.isfinite(span)] for span in (course.before, course.after))
    if len(held) < LEAST_BEFORE or len(then) < LEAST_AFTER or held.min() < 0 or held.max() <= 0:
        return None
    return course


def _scale(course: Course) -> tuple[Floats, bool]:
    """Return all values, spikes cut, shape (normal + before + after points,), and whether they are logarithms."""
    values = np.concatenate([course.normal, course.before, course.after])
    finite = np.isfinite(values)
    is_log = bool((values[finite] > 0).all())
    there = np.log(values[finite]) if is_log else values[finite]
    usual = median_filter(there, NEIGHBOURS, mode="nearest")
    reach = SPIKE * 1.4826 * float(np.median(np.abs(there - usual)))
    if reach > 0:
        there = usual + np.clip(there - usual, -reach, reach)
    scaled = np.full(len(values), np.nan)
    scaled[finite] = there
    return scaled, is_log


def _points(course: Course, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return times in windows, finite values and spans, each of the shape (finite points,)."""
    sizes = len(course.normal), len(course.before), len(course.after)
    spans = np.repeat([NORMAL, BEFORE, AFTER], sizes)
    times = np.arange(len(values), dtype=np.float64)
    times[sizes[0] + sizes[1] :] += GAP - 1
    finite = np.isfinite(values)
    return times[finite], values[finite], spans[finite]


def _chance_of_more(levels: Levels, ratio: float, *, is_log: bool) -> float:
    """Return the chance that the level after is more than exp(`ratio`) times the level before."""
    return levels.chance_above(1.0, ratio) if is_log else levels.chance_above(math.exp(ratio))


def _gain(levels: Levels, share: float, *, is_log: bool) -> float:
    """Return the gain that the true one is below with a chance of `share`."""

    def excess(ratio: float) -> float:
        return _chance_of_more(levels, ratio, is_log=is_log) - share

    if excess(SMALLEST) <= 0:
        return 1.0 - math.exp(SMALLEST)
    if excess(LARGEST) >= 0:
        return 1.0 - math.exp(LARGEST)
    return 1.0 - math.exp(float(brentq(excess, SMALLEST, LARGEST, xtol=1e-6)))
