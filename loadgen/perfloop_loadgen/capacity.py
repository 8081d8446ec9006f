"""The capacity that trials of a search show: the highest rate that keeps the thresholds for long, with its interval.

A trial passes or fails by chance near the capacity, surely far from it: the chance is a normal distribution's in the
logarithm of the rate, as thresholds are estimated in psychophysics (A. B. Watson and D. G. Pelli, "QUEST: A Bayesian
adaptive psychometric method", 1983). Where it lies and how wide it is follow from all trials together, by Bayes' rule
on a grid, with two more unknowns:

- A trial may fail by what else the machine does, whatever the rate (`FALSE_FAIL`).
- A short trial flatters. Beyond the capacity the backlog grows by the surplus of the rate, and after `t` seconds of it
  a request waits `t` times the surplus: a limit of `L` seconds is reached in time only where the surplus is above L/t.
  And congestion comes in bursts: most short trials see less of it than the mean, by up to `SKEW` widths of the
  transition. Between none and all of that is possible (`FLATTERY`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROBABILITY = 0.9
FALSE_FAIL = 0.03
FALSE_PASS = 0.005
POINTS = 400
# Widths of the transition from pass to fail, in the logarithm of the rate, of a trial of ordinary length.
WIDTHS = (0.01, 0.02, 0.04, 0.08, 0.16)
FLATTERY = (0.0, 0.5, 1.0)
SKEW = 1.5
REACH = 4.0  # times the highest rate that was tried, and as far below the lowest


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: the rate in requests per second, how long it lasted, and whether it kept the thresholds."""

    rate: float
    seconds: float
    passed: bool


@dataclass(frozen=True, slots=True)
class CapacityInterval:
    """The highest rate that keeps the thresholds, in requests per second: it lies between the bounds in 9 of 10 cases.

    Attributes:
        expected: The median; None, as `upper`, where no trial failed: it may be any rate from `lower` on.
    """

    lower: float
    expected: float | None
    upper: float | None

    @property
    def sentence(self) -> str:
        """Say it in words, for people."""
        if self.expected is None or self.upper is None:
            return f"the capacity is {self.lower:.4g} requests/s or more: no rate that was tried broke a threshold"
        bounds = f"90% interval {self.lower:.4g} to {self.upper:.4g}"
        return f"the capacity, the highest rate that keeps the thresholds for long: {self.expected:.4g}/s ({bounds})"


def estimate_capacity(trials: Sequence[Tried], limit_seconds: float = 0.0) -> CapacityInterval | None:
    """Return the capacity that trials show; None where none passed.

    Args:
        trials: Every trial, in any order.
        limit_seconds: The longest wait that a threshold on response times allows; 0 where none is about them.
    """
    passed = [trial.rate for trial in trials if trial.passed]
    if not passed:
        return None
    grid = _grid(trials)
    weights = [_weigh(trials, grid, (flattery, limit_seconds)) for flattery in FLATTERY]
    together = [sum(one) for one in zip(*weights, strict=True)]
    tail = (1 - PROBABILITY) / 2
    lower, middle = (_quantile(grid, together, share) for share in (tail, 0.5))
    # How much trials flattered is not seen in them: from above it counts as not at all.
    upper = max(_quantile(grid, weights[0], 1 - tail), middle)
    if all(trial.passed for trial in trials):
        # What was tried bounds it from below alone; the rest would be what the grid was given.
        return CapacityInterval(min(lower, max(passed)), None, None)
    return CapacityInterval(lower, middle, upper)


def _grid(trials: Sequence[Tried]) -> list[float]:
    """Return the logarithms of the rates that the capacity may be; between the lowest and the highest they are close.

    Half of them lie where the outcome changes, within a factor of 1.5 of the highest pass and of the lowest failure.
    """
    rates = [trial.rate for trial in trials]
    passes = [trial.rate for trial in trials if trial.passed]
    failures = [trial.rate for trial in trials if not trial.passed] or [max(rates)]
    far = _evenly(math.log(min(rates) / REACH), math.log(max(rates) * REACH))
    ends = (max(passes), min(failures))
    near = _evenly(math.log(min(ends) / 1.5), math.log(max(ends) * 1.5))
    return sorted({*far, *near})


def _evenly(start: float, end: float) -> Iterator[float]:
    return (start + (end - start) * number / (POINTS // 2 - 1) for number in range(POINTS // 2))


def _weigh(trials: Sequence[Tried], grid: Sequence[float], flattered: tuple[float, float]) -> list[float]:
    """Return the probability of each point of the grid, not scaled: every rate is as likely in the logarithm."""
    usual = min(trial.seconds for trial in trials)
    weights = []
    for place, capacity in enumerate(grid):
        likelihood = sum(_likelihood(trials, capacity, _Chance(width, *flattered, usual)) for width in WIDTHS)
        left, right = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
        weights.append(likelihood * (right - left) / 2)
    return weights


class _Chance(NamedTuple):
    """What is unknown of the trials, and the length of an ordinary one in seconds."""

    width: float
    flattery: float
    limit_seconds: float
    usual_seconds: float


def _likelihood(trials: Sequence[Tried], capacity: float, chance: _Chance) -> float:
    """Return how likely the outcomes are at a capacity (logarithm)."""
    likelihood = 1.0
    for trial in trials:
        # A longer trial averages more, and there is less to be flattered by.
        scale = chance.width * math.sqrt(chance.usual_seconds / trial.seconds)
        flattered = math.log1p(chance.flattery * chance.limit_seconds / trial.seconds) + chance.flattery * SKEW * scale
        distance = capacity + flattered - math.log(trial.rate)
        keeps = FALSE_PASS + (1 - FALSE_FAIL - FALSE_PASS) * (1 + math.erf(distance / scale / math.sqrt(2))) / 2
        likelihood *= keeps if trial.passed else 1 - keeps
    return likelihood


def _quantile(grid: Sequence[float], weights: Sequence[float], share: float) -> float:
    target, reached = share * sum(weights), 0.0
    for capacity, weight in zip(grid, weights, strict=True):
        reached += weight
        if reached >= target:
            return math.exp(capacity)
    return math.exp(grid[-1])
