"""Search the highest rate that a service bears: double until it fails, bisect, confirm what is left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from perfloop_loadgen.pacing.endurance import drift_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where less than this share of what was asked comes back well, the service is past its knee.
_KEPT_UP_RATIO = 0.95
# A backlog that grows through a step by more than this share of itself is over-saturation.
_SATURATED_RATIO = 0.5


class Stage(StrEnum):
    """Where the search stands."""

    DOUBLE = "double"
    BISECT = "bisect"
    CONFIRM = "confirm"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate that was tried and how it went."""

    rate: float
    stage: Stage
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """The search at one moment: a value; `tell` returns the next one."""

    rate: float
    most_rate: float
    precision_ratio: float
    stage: Stage = Stage.DOUBLE
    good: float = 0.0
    bad: float | None = None
    trials: tuple[Trial, ...] = field(default=())

    def tell(self, *, passed: bool, reason: str = "") -> Search:
        """Return the search after the rate under trial passed or failed."""
        after = replace(self, trials=(*self.trials, Trial(self.rate, self.stage, passed, reason)))
        after = replace(after, good=self.rate) if passed else replace(after, bad=self.rate)
        if self.stage is Stage.CONFIRM:
            return replace(after, stage=Stage.DONE) if passed else _stepped_down(after)
        return _narrowed(after)

    @property
    def confirmed(self) -> float | None:
        """Return the highest rate that was confirmed, or None when not even the first was borne."""
        confirmed = [trial.rate for trial in self.trials if trial.stage is Stage.CONFIRM and trial.passed]
        return max(confirmed, default=None)


def _narrowed(search: Search) -> Search:
    if search.bad is None:
        if search.rate >= search.most_rate:
            return replace(search, stage=Stage.CONFIRM)
        return replace(search, rate=min(search.rate * 2, search.most_rate))
    if not search.good:
        return _lowered(search)
    if search.bad / search.good - 1 <= search.precision_ratio:
        return replace(search, stage=Stage.CONFIRM, rate=search.good)
    return replace(search, stage=Stage.BISECT, rate=(search.good + search.bad) / 2)


def _lowered(search: Search) -> Search:
    # The first rate already failed: halve, but a service that bears not even one a minute is down.
    rate = search.rate / 2
    return replace(search, stage=Stage.DONE) if rate < 1 / 60 else replace(search, rate=rate)


def _stepped_down(search: Search) -> Search:
    # What held for a short step did not hold for long: step down by the precision and confirm again.
    rate = search.rate * (1 - search.precision_ratio)
    lowest = max((trial.rate for trial in search.trials if trial.passed), default=0.0) / 4
    if rate <= lowest:
        return replace(search, stage=Stage.DONE)
    return replace(search, rate=rate, stage=Stage.CONFIRM)


def is_oversaturated(in_flight: Sequence[tuple[float, float]]) -> bool:
    """Say whether requests under way grew all through a step: arrivals outran answers."""
    if not in_flight or max(value for _, value in in_flight) < 10:  # noqa: PLR2004 - so few are noise
        return False
    drift = drift_ratio(in_flight)
    return drift is not None and drift > _SATURATED_RATIO


def knee_of(trials: Sequence[tuple[float, float]]) -> float | None:
    """Return the highest (rate asked, rate of good answers) that still kept up, below the first one that did not."""
    kept_up = True
    knee = None
    for asked, good in sorted(trials):
        kept_up = kept_up and good >= _KEPT_UP_RATIO * asked
        knee = asked if kept_up else knee
    return knee
