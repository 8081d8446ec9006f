"""What a change did to a signal: the blocks with it against those without it, in pairs.

Each pair is two neighbouring blocks of the same load, in random order, so that whatever drifts affects both alike. Of a
signal whose values are all positive the logarithms of the ratios are compared, else the differences as shares of the
level without the change; of a ratio that should be high the complement to 1. The interval is Student's over the pairs
(Biometrika 6, 1908), which carries the variation from block to block; within a block neighbouring values are no
evidence of their own. Over the other signals the p-values are Holm's (Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_PAIRS = 3
LEAST_GAIN = 0.05  # less is not worth a change, nor is it a side effect
CHANCE = 0.01  # of a gain where there is none; the interval has as much on either side
SIDE_CHANCE = 0.05  # of any side effect where there is none, over all signals


@dataclass(frozen=True, slots=True)
class Effect:
    """How much of a signal went away, as a share, with its interval; negative where there is more of it.

    Attributes:
        without, with_change: The means of the blocks, in the signal's unit.
        p_value: The chance of such an effect where there is none, on both sides.
    """

    gain: float
    low: float
    high: float
    without: float
    with_change: float
    p_value: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict on a recommendation: `proved`, `refuted` or `undecided`, and why."""

    verdict: str
    words: str


def compare(without: Sequence[float], with_change: Sequence[float], *, above: bool, ratio: bool) -> Effect | None:
    """Return the effect on a signal; None with fewer than LEAST_PAIRS pairs, or where it was 0 without the change.

    Args:
        without: The values of the blocks without the change, pair by pair, NaN where there is none.
        with_change: Those of the blocks with it.
        above: Whether high values are bad.
        ratio: Whether the signal is a share of 1.
    """
    before, after = np.asarray(without, dtype=float), np.asarray(with_change, dtype=float)
    there = np.isfinite(before) & np.isfinite(after)
    before, after = before[there], after[there]
    if len(before) < LEAST_PAIRS:
        return None
    means = float(before.mean()), float(after.mean())
    if ratio and not above:
        before, after = 1.0 - before, 1.0 - after
    if (before > 0).all() and (after > 0).all():
        middle, low, high, p_value = _interval(np.log(after / before))
        bounds = tuple(1.0 - math.exp(one) for one in (middle, high, low))
    else:
        level = float(np.abs(before).mean())
        if level == 0:
            return None
        middle, low, high, p_value = _interval((after - before) / level)
        bounds = -middle, -high, -low
    if not above and not ratio:
        bounds = -bounds[0], -bounds[2], -bounds[1]
    return Effect(bounds[0], bounds[1], bounds[2], means[0], means[1], p_value, len(before))


def _interval(moves: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float, float, float]:
    """Return mean, bounds and two-sided p-value of moves that should be 0."""
    count, mean = len(moves), float(moves.mean())
    error = float(moves.std(ddof=1)) / math.sqrt(count)
    if error == 0:
        return mean, mean, mean, 0.0 if mean else 1.0
    wide = float(stats.t.isf(CHANCE, count - 1)) * error
    return mean, mean - wide, mean + wide, float(2 * stats.t.sf(abs(mean) / error, count - 1))


def judge(effect: Effect | None, promised: float) -> Evaluation:
    """Return the verdict on the effect; `promised` is the least gain that was expected, 0 where none was."""
    if effect is None:
        return Evaluation("undecided", "the signal has no value in enough blocks")
    interval = f"{effect.gain:.0%} ({effect.low:.0%} to {effect.high:.0%}, {effect.pairs} pairs)"
    if effect.low > 0 and effect.gain >= LEAST_GAIN:
        return Evaluation("proved", f"the change takes away {interval}")
    if effect.high < max(LEAST_GAIN, promised):
        least = max(LEAST_GAIN, promised)
        return Evaluation(
            "refuted", f"the change takes away {interval}: less than the {least:.0%} that make it worth it"
        )
    if effect.low < -1:  # a share of such an interval would look as if something were known
        return Evaluation(
            "undecided",
            f"{effect.pairs} pairs differ by more than all that the change could bring: more pairs, or longer ones, "
            "would decide",
        )
    return Evaluation("undecided", f"the change takes away {interval}: more pairs, or longer ones, would decide")


def significant(effects: Sequence[Effect]) -> list[bool]:
    """Return of each effect whether it is one, by Holm's procedure at SIDE_CHANCE, and large enough to matter."""
    found = [False] * len(effects)
    order = sorted(range(len(effects)), key=lambda at: effects[at].p_value)
    for rank, at in enumerate(order):
        if effects[at].p_value > SIDE_CHANCE / (len(effects) - rank):
            break
        found[at] = abs(effects[at].gain) >= LEAST_GAIN
    return found
