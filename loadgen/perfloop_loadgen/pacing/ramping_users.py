"""Users along stages: each stage moves on a straight line from where the last one ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfloop_loadgen.pacing.line import Stage, stage_at, value_at


@dataclass(frozen=True, slots=True)
class RampingUsers:
    """The closed model along `stages`, from `start` users."""

    start: int
    stages: tuple[Stage, ...]

    @property
    def duration_seconds(self) -> float | None:
        """Return the sum of the stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def most_users(self) -> int:
        """Return the highest corner of the line."""
        return math.ceil(max(self.start, *(stage.goal for stage in self.stages)))

    def users_at(self, elapsed_seconds: float) -> int:
        """Return the line's height, rounded."""
        return round(value_at(self.start, self.stages, elapsed_seconds))

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the stage."""
        return stage_at(self.stages, elapsed_seconds)
