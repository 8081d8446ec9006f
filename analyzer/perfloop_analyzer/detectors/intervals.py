"""Seeded intervals: a fixed, nearly linear set of stretches in which every step stands alone somewhere.

Kovacs, Buehlmann, Li & Munk, "Seeded binary segmentation", Biometrika 110 (2023): layer k holds intervals of length
T a^k, evenly spread so that neighbours overlap by half; a = 1/2 here, where the paper's 1/sqrt(2) gains nothing that a
later refinement does not.
"""

from __future__ import annotations

from functools import lru_cache

DECAY = 0.5


@lru_cache(maxsize=64)
def seeded_intervals(width: int, shortest: int) -> tuple[tuple[int, int], ...]:
    """Return (begin, end) of every interval, shortest first."""
    found: dict[tuple[int, int], None] = {}
    length = float(width)
    while length >= shortest:
        size = min(width, round(length))
        count = 2 * -(-width // size) - 1
        spare = width - size
        for number in range(count):
            begin = round(number * spare / max(count - 1, 1))
            found[begin, begin + size] = None
        length *= DECAY
    return tuple(sorted(found, key=lambda one: (one[1] - one[0], one[0])))
