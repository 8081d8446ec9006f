"""What the parts of planning ask of Prometheus, how often, and over which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perfloop_analyzer.series import Batch, Grid

Answers = Mapping[str, Batch]
WINDOW, STEP = "$window", "$step"
OFTEN_SECONDS, SELDOM_SECONDS = 60.0, 900.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A set of queries over one grid of moments.

    Attributes:
        name: What is asked for, in a word; unique.
        queries: PromQL by the name of the answer. `$window` is the usual rate window, `$step` the longer of it and the
            time between two points: a rate over `$step` misses nothing.
        every: Seconds between two askings.
        step: Seconds between two points.
        points: How many points; the last is the newest whole step.
    """

    name: str
    queries: Mapping[str, str]
    every: float
    step: float
    points: int

    def grid(self, at: float) -> Grid:
        """Return the moments to ask for at a moment, in Unix seconds."""
        end = at - at % self.step
        return Grid(end - self.step * (self.points - 1), self.step, self.points)
