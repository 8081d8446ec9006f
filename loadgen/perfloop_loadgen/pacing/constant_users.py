"""A fixed number of users, reached and left on straight ramps: the user's own form of test."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConstantUsers:
    """`users` from the end of the ramp up to the start of the ramp down; both lie inside the duration."""

    users: int
    duration_seconds: float | None
    ramp_up_seconds: float = 0.0
    ramp_down_seconds: float = 0.0

    @property
    def most_users(self) -> int:
        """Return the plateau."""
        return self.users

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the users active, at least one while the shape lasts."""
        if self.duration_seconds is not None and elapsed_seconds >= self.duration_seconds:
            return 0
        share = min(self._risen(elapsed_seconds), self._left(elapsed_seconds))
        return max(1, math.floor(share * self.users))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name ramp or plateau."""
        if elapsed_seconds < self.ramp_up_seconds:
            return "ramp up"
        return "steady" if self._left(elapsed_seconds) >= 1 else "ramp down"

    def _risen(self, elapsed: float) -> float:
        return min(1.0, elapsed / self.ramp_up_seconds) if self.ramp_up_seconds else 1.0

    def _left(self, elapsed: float) -> float:
        if self.duration_seconds is None or not self.ramp_down_seconds:
            return 1.0
        return min(1.0, (self.duration_seconds - elapsed) / self.ramp_down_seconds)
