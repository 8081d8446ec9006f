"""How well one run knows its own level: the moving-block bootstrap (Künsch 1989).

Neighbouring seconds of a load test resemble each other. Drawing single seconds would take them for independent and
make the variance too small; drawing blocks keeps what neighbours share.

This says nothing about the next run, which may have another level altogether.
"""

from __future__ import annotations

import math
import random
from statistics import median, variance
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_POINTS = 8
_DRAWS = 400


def variance_within(values: Sequence[float], seed: int = 1) -> float | None:
    """Return the variance of the logarithm of the median of one run.

    Args:
        values: one value a second, above 0, in the order of time.
        seed: the same seed gives the same variance.

    Returns:
        None for too little data.
    """
    if len(values) < MIN_POINTS:
        return None
    chance = random.Random(seed)  # noqa: S311 - resampling, not a secret
    return variance(math.log(median(_draw(values, chance))) for _ in range(_DRAWS))


def _draw(values: Sequence[float], chance: random.Random) -> list[float]:
    """Draw blocks of the cube root of the length until the series is full again."""
    # The cube root is the rate at which the best block for a variance grows (Hall, Horowitz and Jing 1995).
    block = max(1, round(len(values) ** (1 / 3)))
    drawn: list[float] = []
    while len(drawn) < len(values):
        start = chance.randrange(len(values) - block + 1)
        drawn += values[start : start + block]
    return drawn[: len(values)]
