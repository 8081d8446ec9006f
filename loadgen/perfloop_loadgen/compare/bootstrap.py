"""Confidence in the change of a level between two time series: the moving-block bootstrap (Künsch 1989).

Neighbouring seconds of a load test resemble each other. Drawing single seconds would take them for independent and
make the interval too narrow; drawing blocks keeps what neighbours share.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_POINTS = 8
# Enough for the 2.5th percentile to rest on 25 draws.
_DRAWS = 1000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Change:
    """A relative change of the median and the interval that holds it with 95% confidence."""

    ratio: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Return whether the interval excludes no change at all."""
        return self.low > 0 or self.high < 0


def change_of(base: Sequence[float], new: Sequence[float], seed: int = 1) -> Change | None:
    """Return the change of the median from base to new as a share of base, with a percentile interval.

    Args:
        base: one value a second, in the order of time.
        new: the same of the other run; the lengths may differ.
        seed: the same seed gives the same interval.

    Returns:
        None for too little data or a base of 0.
    """
    if min(len(base), len(new)) < MIN_POINTS or not median(base):
        return None
    chance = random.Random(seed)  # noqa: S311 - resampling, not a secret
    draws = sorted(_ratio(_draw(base, chance), _draw(new, chance)) for _ in range(_DRAWS))
    tail = round(_DRAWS * (1 - _CONFIDENCE) / 2)
    return Change(_ratio(base, new), draws[tail], draws[-tail - 1])


def _ratio(base: Sequence[float], new: Sequence[float]) -> float:
    level = median(base)
    return (median(new) - level) / level if level else 0.0


def _draw(values: Sequence[float], chance: random.Random) -> list[float]:
    """Draw blocks of the cube root of the length until the series is full again."""
    # The cube root is the rate at which the best block for a variance grows (Hall, Horowitz and Jing 1995).
    block = max(1, round(len(values) ** (1 / 3)))
    drawn: list[float] = []
    while len(drawn) < len(values):
        start = chance.randrange(len(values) - block + 1)
        drawn += values[start : start + block]
    return drawn[: len(values)]
