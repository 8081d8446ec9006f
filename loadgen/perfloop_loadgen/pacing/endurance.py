"""A steady load for long, and the question that it is run for: does anything drift?"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Fewer points say nothing about a trend.
FEWEST_POINTS = 10
# Pairs grow with the square of the points: beyond this, every n-th point is taken.
_MOST_POINTS = 300


@dataclass(frozen=True, slots=True)
class Endurance:
    """The same users from the first second to the last."""

    users: int
    duration_seconds: float | None

    @property
    def most_users(self) -> int:
        """Return the users."""
        return self.users

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the users while the shape lasts."""
        over = self.duration_seconds is not None and elapsed_seconds >= self.duration_seconds
        return 0 if over else self.users

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every user shape
        """Name the only part."""
        return "steady"


def drift_ratio(points: Sequence[tuple[float, float]]) -> float | None:
    """Return how much (time, value) points rose over their span, as a share of their median; None of too few.

    Theil-Sen: the median of the slopes of all pairs, which a few spikes cannot move.
    """
    step = -(-len(points) // _MOST_POINTS)
    taken = list(points)[:: step or 1]
    if len(taken) < FEWEST_POINTS:
        return None
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for at, earlier in enumerate(taken)
        for later in taken[at + 1 :]
        if later[0] > earlier[0]
    ]
    level = median(value for _, value in taken)
    return median(slopes) * (taken[-1][0] - taken[0][0]) / level if slopes and level else None
