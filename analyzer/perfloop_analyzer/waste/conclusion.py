"""What becomes of a size that was reduced: it is validated when it fell and nothing got worse, else refuted.

A size is exact, so that it shows itself when the change acted, whenever somebody marked it. What it may have harmed is
compared before and since, as the effect of any other change is (recommend.validation). That a signal rose is said at a
chance that all signals and looks share. That none rose is a test of non-inferiority: the interval of each must exclude
a rise of more than TOLERATED, at UNHARMED. Since each must, the chance is not divided among them (Berger, Technometrics
24, 1982, intersection-union tests); it is among the looks, most of it for the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.recommend.conclusion import DAY, LONGEST_LOOK, LOOKS, Conclusion
from perfloop_analyzer.recommend.gains import share_range
from perfloop_analyzer.recommend.validation import (
    GAP,
    LEAST_AFTER,
    LEAST_BEFORE,
    LEAST_GAIN,
    Course,
    Verdict,
    judge,
)
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.series import Floats

UNHARMED = (0.005, 0.005, 0.015)  # of a rise by TOLERATED that is called none, by look; the usual 2.5% in all
TOLERATED = 0.1  # a rise of more than it must be excluded
LOAD_ROSE, LOAD_FELL = 0.1, 0.3  # of the requests per second
BEFORE = 30  # points that are compared; those before them show the signal's own movement


@dataclass(frozen=True, slots=True)
class Watched:
    """A signal that must not get worse, a point each rate window, shape (points,), NaN where it has no value.

    Attributes:
        title: What it is, of what, in words.
        least: A move by less than it, in the signal's unit, is none.
        above: Whether high values are bad.
        is_event: Whether each is one too many where there was none before.
    """

    title: str
    unit: str
    values: Floats
    least: float = 0.0
    above: bool = True
    is_event: bool = False


@dataclass(frozen=True, slots=True)
class Reduced:
    """What was measured around a change of a size, on one grid of rate windows.

    Attributes:
        title: What was to become smaller, in words; `unit` is its unit.
        size: It over the grid; where nothing is left of it, 0.
        before: The size when the change was recommended.
        least: The share by which it must fall to have fallen.
        marked: The first point at or after the moment when somebody marked it as implemented.
        watched: What must not get worse.
        load: The requests per second; None where they are not measured.
        passed: Seconds since it was marked.
    """

    title: str
    unit: str
    size: Floats
    before: float
    marked: int
    watched: Sequence[Watched]
    load: Floats | None
    passed: float
    least: float = LEAST_GAIN


def conclude_reduced(seen: Reduced) -> Conclusion | None:
    """Return what can be said now; None while it is too early."""
    acted = find_acted(seen)
    since = int(np.isfinite(seen.size[seen.marked :]).sum())
    if acted is None:
        return _did_not_fall(seen, since)
    if acted < LEAST_BEFORE:
        return Conclusion("give_up", f"{seen.title} was smaller before there is anything to compare with")
    reached = [look for look in LOOKS if len(seen.size) >= acted + GAP + look[0]]
    if not reached:
        return _without_data(seen)
    # The looks before this one did not decide, or nobody looked then.
    points, chance = reached[-1]
    unharmed = UNHARMED[len(reached) - 1]
    look = _Look(seen, acted, acted + GAP + points, chance / max(1, len(seen.watched)), unharmed)
    return _conclude(look, is_last=points == LONGEST_LOOK)


def find_acted(seen: Reduced) -> int | None:
    """Return the first point from which the size stays smaller; None where it is not."""
    there = np.flatnonzero(np.isfinite(seen.size))
    large = there[seen.size[there] > seen.before * (1.0 - seen.least)]
    first = int(large[-1]) + 1 if len(large) else int(there[0]) if len(there) else len(seen.size)
    return first if len(there) and first <= there[-1] else None


def _did_not_fall(seen: Reduced, since: int) -> Conclusion | None:
    if since < LONGEST_LOOK:
        return _without_data(seen) if since < LEAST_AFTER else None
    size = float(np.nanmedian(seen.size[seen.marked :]))
    gain = 1.0 - size / seen.before
    words = f"{seen.title} did not fall: {quantity(size, seen.unit)} since, {quantity(seen.before, seen.unit)} before"
    return Conclusion("refute", words, Verdict(gain, gain, gain, 1.0, seen.before, size))


def _without_data(seen: Reduced) -> Conclusion | None:
    if seen.passed <= DAY:
        return None
    return Conclusion("give_up", f"{seen.title} has too few values since the change, a day after it")


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at what was measured: the size acted at a point, and points before `end` are looked at.

    `chance` is that of one signal to be called worse where it is not, `unharmed` that of one to be called unharmed.
    """

    seen: Reduced
    acted: int
    end: int
    chance: float
    unharmed: float

    def fallen(self) -> Verdict:
        """Return by how much the size fell."""
        after = float(np.nanmedian(self.seen.size[self.acted : self.end]))
        gain = 1.0 - after / self.seen.before
        return Verdict(gain, gain, gain, 0.0, self.seen.before, after)

    def course(self, values: Floats) -> Course:
        """Return a signal before the change and since."""
        before = values[: self.acted]
        return Course(before[-BEFORE:], values[self.acted + GAP : self.end], before[:-BEFORE])

    def sides(self, one: Watched) -> tuple[Floats, Floats] | None:
        """Return what should be low of a signal, before and since; None with too few values."""
        course = self.course(one.values)
        before, after = (side[np.isfinite(side)] for side in (course.before, course.after))
        if len(before) < LEAST_BEFORE or len(after) < LEAST_AFTER:
            return None
        return (before, after) if one.above else (1.0 - before, 1.0 - after)

    def compare(self, values: Floats, chance: float, *, above: bool = True) -> Verdict | None:
        """Return how far a signal moved, with an interval that misses it with a chance on each side."""
        course = self.course(values)
        return judge(course.before, course.after, above=above, normal=course.normal, chance=chance)

    def load(self) -> Verdict | None:
        """Return how far the requests per second moved; None where they are not known."""
        return None if self.seen.load is None else self.compare(self.seen.load, self.chance)


@dataclass(frozen=True, slots=True)
class _Compared:
    """A signal as one look saw it: what should be low before and since, shapes (points,)."""

    look: _Look
    one: Watched
    before: Floats
    after: Floats

    def rise(self) -> str:
        """Return by how much it surely got worse, in words; empty where it did not, or by too little to matter."""
        one, was, now = self.one, float(self.before.mean()), float(self.after.mean())
        if now - was <= one.least:
            return ""
        shown = (was, now) if one.above else (1.0 - was, 1.0 - now)
        levels = f"{one.title} went from {quantity(shown[0], one.unit)} to {quantity(shown[1], one.unit)}"
        if not self.before.any():
            # Of nothing there is no share; one odd window is no rise, but an event is one.
            return levels if one.is_event or (self.after > 0).mean() > TOLERATED else ""
        verdict = self.look.compare(one.values, self.look.chance, above=one.above)
        if verdict is None or verdict.high >= 0 or -verdict.gain < LEAST_GAIN:
            return ""
        return f"{levels}, {share_range(-verdict.high, -verdict.low)} more"

    def is_clear(self) -> bool:
        """Return whether a rise that matters is excluded."""
        if not self.before.any():
            return bool(self.after.mean() <= self.one.least)
        verdict = self.look.compare(self.one.values, self.look.unharmed, above=self.one.above)
        if verdict is None:
            return False
        most = -verdict.low
        return bool(most <= TOLERATED or most * float(np.median(self.before)) <= self.one.least)


def _compare(look: _Look) -> list[_Compared]:
    """Return the signals that have values enough before and since."""
    sides = [(one, look.sides(one)) for one in look.seen.watched]
    return [_Compared(look, one, *both) for one, both in sides if both is not None]


def _conclude(look: _Look, *, is_last: bool) -> Conclusion | None:
    compared, load, verdict = _compare(look), look.load(), look.fallen()
    rise = next((words for words in (found.rise() for found in compared) if words), "")
    if not rise:
        return _unharmed(compared, load, verdict, is_last=is_last)
    if load is not None and load.high < 0 and -load.gain > LOAD_ROSE:
        words = f"{rise}, but requests per second went up by {-load.gain:.0%} at the same time"
        return Conclusion("confound", words, verdict)
    return Conclusion("refute", rise, verdict)


def _unharmed(
    found: Sequence[_Compared], load: Verdict | None, verdict: Verdict, *, is_last: bool
) -> Conclusion | None:
    """Return the conclusion that nothing got worse, or at the last look why that cannot be said."""
    compared = [each.one.title for each in found]
    unclear = [each.one.title for each in found if not each.is_clear()]
    fell = share_range(-verdict.gain, -verdict.gain)
    was_tested = load is None or load.gain <= LOAD_FELL
    if compared and not unclear and was_tested:
        return Conclusion("validate", f"{fell}, and no rise of {', '.join(compared)}", verdict)
    if not is_last:
        return None
    if load is not None and not was_tested:
        words = f"requests per second went down by {load.gain:.0%} at the same time: the new size was not tested"
        return Conclusion("confound", words, verdict)
    if unclear:
        words = f"too little is seen of {', '.join(unclear)} to exclude a rise of {TOLERATED:.0%}"
        return Conclusion("give_up", f"{fell}, but {words}", verdict)
    return Conclusion("give_up", f"{fell}, but nothing is measured that it could have harmed", verdict)
