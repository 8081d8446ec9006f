"""The past of every service's traffic: read once, in stretches of a week at most, and then only what is new.

A range query of four weeks every few minutes would cost Prometheus more than everything else that the analyzer asks.
The newest stretch comes first, so that an hour and a day ahead are forecast at once; one older stretch follows each
minute until four weeks are known. A stretch that is not answered, such as for a time limit, is asked again at half its
length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.asks import OFTEN_SECONDS, Ask
from perfloop_analyzer.planning.capacity.asked import NOW
from perfloop_analyzer.series import Grid, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.planning.asks import Answers
    from perfloop_analyzer.series import Batch, Floats

TRAFFIC, RATE = "traffic", "plan_traffic"
STEP_SECONDS = 300.0
POINTS = 8064  # four weeks
LONGEST, SHORTEST = 2016, 36  # points of one stretch: a week, three hours


@dataclass(frozen=True, slots=True)
class Stretch(Ask):
    """An ask for a stretch of the past that ends at a moment, in Unix seconds."""

    end: float = 0.0

    def grid(self, at: float) -> Grid:  # noqa: ARG002 - the moment of asking changes nothing
        """Return the moments of the stretch."""
        return Grid(self.end - self.step * (self.points - 1), self.step, self.points)


class TrafficHistory:
    """The requests per second of every service in steps of five minutes, as far as they are read."""

    def __init__(self) -> None:
        self._values: dict[str, Floats] = {}
        self._end: float | None = None
        self._read = 0
        self._longest = LONGEST
        self._asked = float("-inf")

    @property
    def end(self) -> float | None:
        """The newest moment that is read, in Unix seconds; None before the first answer."""
        return self._end

    @property
    def read(self) -> int:
        """How many points are read."""
        return self._read

    @property
    def is_whole(self) -> bool:
        """Whether all four weeks are read."""
        return self._read >= POINTS

    @property
    def services(self) -> Mapping[str, Floats]:
        """Requests per second by service, shape (POINTS,), the last at `end`; NaN where nothing is known."""
        return self._values

    def due(self, at: float) -> Stretch | None:
        """Return what is to be asked at a moment: what is new, else the next older stretch; at most one a minute."""
        newest = at - at % STEP_SECONDS
        if self._end is not None and not self._end <= newest < self._end + LONGEST * STEP_SECONDS:
            # The clock was set back, or the analyzer was away for longer than a stretch.
            self._end, self._read, self._values = None, 0, {}
        if 0 <= at - self._asked < OFTEN_SECONDS:
            return None
        if self._end is None:
            return self._stretch(newest, self._longest)
        if new := round((newest - self._end) / STEP_SECONDS):
            points = min(new, self._longest)
            return self._stretch(self._end + points * STEP_SECONDS, points)
        if not self.is_whole:
            return self._stretch(self._end - self._read * STEP_SECONDS, min(self._longest, POINTS - self._read))
        return None

    def _stretch(self, end: float, points: int) -> Stretch:
        query = {RATE: NOW.queries["plan_rate"]}
        return Stretch(TRAFFIC, query, OFTEN_SECONDS, STEP_SECONDS, points, end)

    def note(self, stretch: Stretch, answers: Answers, at: float) -> None:
        """Take up the answer to a stretch, asked at a moment in Unix seconds."""
        self._asked = at
        batch = answers.get(RATE)
        if batch is None:
            self._longest = max(self._longest // 2, SHORTEST)
            return
        self._longest = min(2 * self._longest, LONGEST)
        if self._end is None:
            self._end, self._read = stretch.end, stretch.points
        elif stretch.end > self._end:
            self._move_to(stretch.end)
        else:
            self._read += stretch.points
        self._fill(batch, round((self._end - stretch.end) / STEP_SECONDS), stretch.points)

    def _move_to(self, end: float) -> None:
        """Move on to newer points; what is older than four weeks is forgotten, and so is a service without any."""
        moved = round((end - (self._end or end)) / STEP_SECONDS)
        self._end, self._read = end, min(self._read + moved, POINTS)
        for service, values in list(self._values.items()):
            values[:-moved] = values[moved:]
            values[-moved:] = np.nan
            if not np.isfinite(values).any():
                del self._values[service]

    def _fill(self, batch: Batch, back: int, points: int) -> None:
        place = slice(POINTS - back - points, POINTS - back)
        for labels, row in zip(batch.labels, batch.values, strict=True):
            service = service_of(labels)
            if service not in self._values:
                self._values[service] = np.full(POINTS, np.nan, dtype=np.float32)
            self._values[service][place] = row
