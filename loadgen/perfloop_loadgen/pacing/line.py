"""A line through stages: the height at a moment, and the area under it up to a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Stage:
    """Move to `goal` within `seconds`."""

    goal: float
    seconds: float
    name: str = ""


def value_at(start: float, stages: Sequence[Stage], elapsed_seconds: float) -> float:
    """Return the height of the line; after the last stage, its goal."""
    height, begun = start, 0.0
    for stage in stages:
        if elapsed_seconds < begun + stage.seconds:
            return height + (stage.goal - height) * (elapsed_seconds - begun) / stage.seconds
        height, begun = stage.goal, begun + stage.seconds
    return height


def stage_at(stages: Sequence[Stage], elapsed_seconds: float) -> str:
    """Name the stage of a moment."""
    begun = 0.0
    for number, stage in enumerate(stages, 1):
        begun += stage.seconds
        if elapsed_seconds < begun or number == len(stages):
            return stage.name or f"stage {number}"
    return ""
