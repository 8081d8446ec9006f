"""How much may be asked: questions at once, points per answer, samples per cycle, and a pause after trouble."""

from __future__ import annotations

from dataclasses import dataclass

from perfloop_analyzer.series import Grid

BACK_OFF_FIRST = 5.0
BACK_OFF_MOST = 300.0


@dataclass(slots=True)
class Budget:
    """One source's allowance. The pause doubles with each cycle in which nothing was answered, up to five minutes."""

    concurrency: int = 4
    max_points: int = 11_000
    max_samples: int = 20_000_000
    troubles: int = 0
    closed_until: float = 0.0
    reason: str = ""

    def grid(self, end: float, step: float, points: int) -> Grid:
        """Return the widest grid up to `end` that the allowance holds."""
        points = max(2, min(points, self.max_points))
        return Grid(end - step * (points - 1), step, points)

    def is_open(self, now: float) -> bool:
        """Whether the source may be asked now."""
        return now >= self.closed_until

    def succeeded(self) -> None:
        """Something was answered."""
        self.troubles = 0
        self.closed_until = 0.0

    def failed(self, now: float, reason: str = "") -> float:
        """Nothing was answered: pause, longer each time; return the pause."""
        pause = min(BACK_OFF_FIRST * 2.0**self.troubles, BACK_OFF_MOST)
        self.troubles += 1
        self.reason = reason
        self.closed_until = now + pause
        return pause
