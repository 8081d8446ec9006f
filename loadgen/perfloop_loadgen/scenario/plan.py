"""The order in which journeys come, each with its share of the traffic, and the data of each pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_loadgen.scenario.journey import Journey


@dataclass(slots=True)
class Plan:
    """A cycle in which every journey has its share, and the rows of data that passes take in turn."""

    cycle: Sequence[Journey]
    rows: Iterator[Mapping[str, Any]] = field(default_factory=lambda: repeat({}))

    def next_values(self) -> dict[str, Any]:
        """Return the data of the next pass; a copy, since extracted values are added to it."""
        return dict(next(self.rows))


def spread(weights: Sequence[int]) -> list[int]:
    """Return one cycle of indexes in which each comes exactly as often as its weight says, spread evenly.

    Smooth weighted round robin, as in nginx: at each step every index gains its weight, the one with the most credit
    goes and pays the sum.
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
