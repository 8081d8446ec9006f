"""Search for the highest rate that a service sustains: double until it fails, bisect, confirm what is left.

Pure: the search is a value, and what a trial came to gives the next one. Rates are requests per second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from perfloop_loadgen.summary.drift import drift_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where fewer than this share of the requested answers come back good, the service is past its knee.
_KEPT_UP_RATIO = 0.95
# A backlog that grows through a step by more than this share of its median is over-saturation.
_SATURATED_RATIO = 0.5
# A backlog below this many requests is noise.
_MIN_BACKLOG = 10
# A service that cannot answer one request a minute is down.
_MIN_RATE = 1 / 60


class Stage(StrEnum):
    """The part of the search that is under way."""

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
    """The search at one moment; `after` returns the next one."""

    rate: float
    max_rate: float
    precision_ratio: float
    stage: Stage = Stage.DOUBLE
    # The highest rate that passed so far, and the lowest that failed.
    good: float = 0.0
    bad: float | None = None
    trials: tuple[Trial, ...] = field(default=())

    def after(self, *, passed: bool, reason: str = "") -> Search:
        """Return the search after the rate under trial passed or failed."""
        tried = replace(self, trials=(*self.trials, Trial(self.rate, self.stage, passed, reason)))
        tried = replace(tried, good=self.rate) if passed else replace(tried, bad=self.rate)
        if self.stage is Stage.CONFIRM:
            return replace(tried, stage=Stage.DONE) if passed else _stepped_down(tried)
        return _narrowed(tried)

    @property
    def confirmed(self) -> float | None:
        """Return the highest rate that was confirmed; None if none was."""
        confirmed = [trial.rate for trial in self.trials if trial.stage is Stage.CONFIRM and trial.passed]
        return max(confirmed, default=None)


def _narrowed(search: Search) -> Search:
    if search.bad is None:
        if search.rate >= search.max_rate:
            return replace(search, stage=Stage.CONFIRM)
        return replace(search, rate=min(search.rate * 2, search.max_rate))
    if not search.good:
        # Even the first rate failed: look below it.
        rate = search.rate / 2
        return replace(search, stage=Stage.DONE) if rate < _MIN_RATE else replace(search, rate=rate)
    if search.bad / search.good - 1 <= search.precision_ratio:
        return replace(search, stage=Stage.CONFIRM, rate=search.good)
    return replace(search, stage=Stage.BISECT, rate=(search.good + search.bad) / 2)


def _stepped_down(search: Search) -> Search:
    # What held for a short step did not hold for long: step down by the precision and confirm again, but no further
    # than to a quarter of the best short step: below that the service is no longer the one that was searched.
    rate = search.rate * (1 - search.precision_ratio)
    lowest = max((trial.rate for trial in search.trials if trial.passed), default=0.0) / 4
    if rate <= lowest:
        return replace(search, stage=Stage.DONE)
    return replace(search, rate=rate, stage=Stage.CONFIRM)


def is_oversaturated(in_flight: Sequence[tuple[float, float]]) -> bool:
    """Return whether the requests under way grew throughout a step, so that arrivals outran answers.

    Args:
        in_flight: (seconds into the step, requests under way) for each point of the step.
    """
    if not in_flight or max(value for _, value in in_flight) < _MIN_BACKLOG:
        return False
    drift = drift_ratio(in_flight)
    return drift is not None and drift > _SATURATED_RATIO


def knee_of(trials: Sequence[tuple[float, float]]) -> float | None:
    """Return the highest rate at which good answers kept up, below the first rate at which they did not.

    Args:
        trials: (rate requested, rate of good answers) of each trial, in any order.
    """
    kept_up = True
    knee = None
    for requested, good in sorted(trials):
        kept_up = kept_up and good >= _KEPT_UP_RATIO * requested
        knee = requested if kept_up else knee
    return knee
