"""Runs the service's own cycle over the moments of a past."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.changes import POINTS, STEP_SECONDS
from perfloop_analyzer.errors import AnalyzerError, ConfigError, SourceError, SourceUnavailable
from perfloop_analyzer.incidents import RECALLED
from perfloop_analyzer.loop import DEFAULT_STEP, LONGEST_STEP, SHORTEST_STEP
from perfloop_analyzer.ports import Query
from perfloop_analyzer.replay.reading import ReadAhead
from perfloop_analyzer.reporters.formatting import clock
from perfloop_analyzer.series import Grid
from perfloop_base.alerts import FIRING_ALERTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from perfloop_analyzer.config import AnalysisConfig, ReplayConfig
    from perfloop_analyzer.loop import Loop
    from perfloop_analyzer.pipeline import Knowledge
    from perfloop_analyzer.ports import Source
    from perfloop_analyzer.replay.journal import Journal

PROBES = 200  # looks for data, evenly over the past
BURN_GRID, PARTS_POINTS = (1.0, 3), 2  # step and points of the cycle's grids that look at one moment
LATE_SECONDS = 120.0
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Plan:
    """When the cycles of a replay are.

    Attributes:
        config: The settings of the analysis, with the time between two points.
        start, end: From when to when, in Unix seconds.
        stride: The time from one cycle to the next, in seconds.
    """

    config: AnalysisConfig
    start: float
    end: float
    stride: float

    def read(self, source: Source) -> ReadAhead:
        """Return what answers the cycles' queries from a Prometheus's past."""
        config, step, history = self.config, self.config.step_seconds or DEFAULT_STEP, self.config.history_step_seconds
        strides = {
            BURN_GRID: self.stride,
            (step, PARTS_POINTS): step,
            (STEP_SECONDS, POINTS): STEP_SECONDS,
            (step, config.points): step,
            (history, round(config.history_seconds / history)): history,
        }
        # What fires and what is published now says nothing of then.
        return ReadAhead(source, self.end, strides, config.source.max_samples, (FIRING_ALERTS, RECALLED))

    def moments(self) -> Iterator[float]:
        """Yield the moment of each cycle, in Unix seconds."""
        cycles = math.floor((self.end - self.start) / self.stride + ROUNDING) + 1
        return (self.start + number * self.stride for number in range(cycles))


async def make_plan(config: AnalysisConfig, past: ReplayConfig, source: Source, knowledge: Knowledge) -> Plan:
    """Return the plan of a replay, once it is sure that there are data.

    Raises:
        SourceError: Prometheus does not answer, or has no data of that past.
    """
    interval = await source.scrape_interval()
    # As the service chooses it.
    step = config.step_seconds or min(max(interval or DEFAULT_STEP, SHORTEST_STEP), LONGEST_STEP)
    stride = math.ceil(past.step_seconds / step - ROUNDING) * step
    start = float(math.floor(past.start))
    await _look_for_data(source, knowledge, start, past.end)
    return Plan(replace(config, step_seconds=step), start, past.end, stride)


async def replay(loop: Loop, moments: Iterable[float], journal: Journal, watch: Callable[[Journal], None]) -> None:
    """Run a cycle at each moment and note what it found; an interruption, or a failure after the first, ends it early.

    `watch` is called after every cycle.

    Raises:
        AnalyzerError: The first cycle failed.
    """
    try:
        for moment in moments:
            result = await loop.cycle(moment)
            if result is None:
                raise loop.failure or AnalyzerError("the cycle gave no result")
            journal.observe(result)
            watch(journal)
    except asyncio.CancelledError:
        return  # Ctrl+C: what was found so far counts
    except AnalyzerError as error:
        if not journal.cycles:
            raise
        journal.problem = error


def check_past(past: ReplayConfig, now: float) -> None:
    """Refuse what is no past; `now` is in Unix seconds.

    Raises:
        ConfigError: One sentence for what is wrong.
    """
    if past.start >= past.end:
        raise ConfigError(f"--from {clock(past.start)} is not before --to {clock(past.end)}")
    if past.end > now + 1.0:
        raise ConfigError(f"--to {clock(past.end)} is in the future: a replay needs a past; --to=0 is now")


async def _look_for_data(source: Source, knowledge: Knowledge, start: float, end: float) -> None:
    """Make sure that there are data from the beginning on.

    Raises:
        SourceUnavailable: No query was answered.
        SourceError: There are none, or they begin later.
    """
    grid = Grid(start, max(1.0, math.floor((end - start) / PROBES)), PROBES + 1)
    window = knowledge.settings.window
    answers = await source.query([Query(signal.name, signal.query(window)) for signal in knowledge.catalog], grid)
    if not answers.batches:
        raise SourceUnavailable(f"no query was answered: {next(iter(answers.failures.values()), 'no signals')}")
    there = [np.isfinite(batch.values).any(axis=0) for batch in answers.batches.values() if len(batch)]
    seen = np.flatnonzero(np.any(there, axis=0)) if there else np.empty(0, dtype=np.int64)
    between = f"between {clock(start)} and {clock(end)}"
    if not seen.size:
        raise SourceError(
            f"Prometheus has no data of the analyzer's signals {between}: they are not kept so long, or never came"
        )
    # The first looks may come before a rate has its two samples.
    if seen[0] > 1 and grid.times()[seen[0]] - start > LATE_SECONDS:
        first = grid.start + int(seen[0]) * grid.step
        raise SourceError(
            f"Prometheus has data of the analyzer's signals {between} only from {clock(first)} on: "
            f"begin there with --from={first:.0f}, or they are not kept so long"
        )
