"""One worker's share of the users of a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfloop_loadgen.pacing.shapes import UserShape


@dataclass(frozen=True, slots=True)
class SharedUsers:
    """Every `of`-th user, from `index`: the shares of all workers add up to the shape at each moment."""

    shape: UserShape
    index: int
    of: int

    @property
    def duration_seconds(self) -> float | None:
        """Return how long the whole shape lasts."""
        return self.shape.duration_seconds

    @property
    def most_users(self) -> int:
        """Return the most users that this share ever has."""
        return self._of(self.shape.most_users)

    def users_at(self, elapsed_seconds: float) -> int:
        """Return how many users of this share are active."""
        return self._of(self.shape.users_at(elapsed_seconds))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the part of the whole shape."""
        return self.shape.phase_at(elapsed_seconds)

    def _of(self, users: int) -> int:
        return max(0, -(-(users - self.index) // self.of))
