"""Which endpoint comes next: every share is kept exactly, spread as evenly as it goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def spread(weights: Sequence[int]) -> list[int]:
    """Return one cycle of indexes in which each comes as often as its weight says, never bunched.

    Smooth weighted round robin: at each step every index gains its weight, the richest goes and pays the sum.
    """
    divisor = math.gcd(*weights)
    gains = [weight // divisor for weight in weights]
    total = sum(gains)
    credit = [0] * len(gains)
    cycle: list[int] = []
    for _ in range(total):
        credit = [have + gain for have, gain in zip(credit, gains, strict=True)]
        richest = max(range(len(credit)), key=credit.__getitem__)
        credit[richest] -= total
        cycle.append(richest)
    return cycle
