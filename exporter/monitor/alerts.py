"""What a callback is told when a metric crosses its threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["above", "below"]


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One value beyond its threshold, in the unit that the user records in."""

    metric: str
    value: float
    threshold: float
    direction: Direction
    timestamp_seconds: float
    tags: dict[str, str] = field(default_factory=dict)
