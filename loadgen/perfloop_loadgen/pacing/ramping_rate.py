"""A rate along stages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_loadgen.pacing.line import Stage, stage_at, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class RampingRate:
    """The k-th request is due where the area under the line reaches k: solved exactly, stage by stage."""

    start: float
    stages: tuple[Stage, ...]

    @property
    def duration_seconds(self) -> float | None:
        """Return the sum of the stages."""
        return sum(stage.seconds for stage in self.stages)

    def rate_at(self, elapsed_seconds: float) -> float:
        """Return the height of the line."""
        return value_at(self.start, self.stages, elapsed_seconds)

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        number, begun, area, height = 0, 0.0, 0.0, self.start
        for stage in self.stages:
            whole = (height + stage.goal) / 2 * stage.seconds
            slope = (stage.goal - height) / stage.seconds
            while number - area < whole:
                yield begun + _when(height, slope, number - area)
                number += 1
            area += whole
            begun += stage.seconds
            height = stage.goal

    def phase_at(self, elapsed_seconds: float) -> str:
        """Name the stage."""
        return stage_at(self.stages, elapsed_seconds)


def _when(height: float, slope: float, area: float) -> float:
    """Return t with height * t + slope * t² / 2 = area, in the form that does not cancel."""
    root = math.sqrt(max(0.0, height * height + 2 * slope * area))
    return 2 * area / (height + root) if height + root else 0.0
