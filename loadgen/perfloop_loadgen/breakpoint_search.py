"""Search for the highest rate that a service sustains: double until it fails, bisect, confirm from both sides.

One short trial that fails may be noise: the rate above the confirmed one is tried for as long, and must fail too.

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
# So many failures may turn out to be noise before the search gives up: the service, or the machine, is not steady.
_MOST_OVERTURNED = 3


class Stage(StrEnum):
    """The part of the search that is under way."""

    DOUBLE = "double"
    BISECT = "bisect"
    CONFIRM = "confirm"
    REFUTE = "refute"
    DONE = "done"


_LONG = frozenset({Stage.CONFIRM, Stage.REFUTE})


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate that was tried and how it went."""

    rate: float
    stage: Stage
    passed: bool
    reason: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it lasted as long as a confirmation."""
        return self.stage in _LONG


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
            return _refuted(tried) if passed else _stepped_down(tried)
        if self.stage is Stage.REFUTE:
            return _resumed(tried) if passed else replace(tried, stage=Stage.DONE)
        return _narrowed(tried)

    @property
    def confirmed(self) -> float | None:
        """Return the highest rate that was confirmed; None if none was."""
        return max((trial.rate for trial in self.trials if trial.is_long and trial.passed), default=None)

    def has_tried_long(self, rate: float) -> bool:
        """Return whether a long trial at this rate has been made."""
        return any(trial.is_long and trial.rate == rate for trial in self.trials)


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
        confirming = replace(search, stage=Stage.CONFIRM, rate=search.good)
        return _refuted(confirming) if search.has_tried_long(search.good) else confirming
    return replace(search, stage=Stage.BISECT, rate=(search.good + search.bad) / 2)


def _refuted(search: Search) -> Search:
    """Return the search that tries the rate above the confirmed one for as long; done where that is known."""
    if search.bad is None or search.has_tried_long(search.bad):
        return replace(search, stage=Stage.DONE)
    return replace(search, stage=Stage.REFUTE, rate=search.bad)


def _resumed(search: Search) -> Search:
    """Return the search after a failure turned out to be noise: on from that rate, up to the next that failed."""
    overturned = sum(trial.passed for trial in search.trials if trial.stage is Stage.REFUTE)
    if overturned >= _MOST_OVERTURNED:
        return replace(search, stage=Stage.DONE)
    failed = [trial.rate for trial in search.trials if not trial.passed and trial.rate > search.good]
    resumed = replace(search, stage=Stage.BISECT, bad=min(failed, default=None))
    return _narrowed(resumed if failed else replace(resumed, stage=Stage.DOUBLE))


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
