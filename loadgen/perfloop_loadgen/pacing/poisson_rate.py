"""Independent arrivals: exponential gaps from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class PoissonRate:
    """As from many callers who know nothing of each other."""

    rate: float
    duration_seconds: float | None
    seed: int = 1

    def rate_at(self, elapsed_seconds: float) -> float:  # noqa: ARG002 - the protocol of every rate shape
        """Return the mean rate."""
        return self.rate

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        gaps = random.Random(self.seed)  # noqa: S311 - a load pattern, not a secret
        due = gaps.expovariate(self.rate)
        while self.duration_seconds is None or due < self.duration_seconds:
            yield due
            due += gaps.expovariate(self.rate)

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every rate shape
        """Name the only part."""
        return "steady"
