"""Where a finding is seen for the first time and lasts longer than the window: a day of its signal says since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.threshold import find_breaches
from perfloop_analyzer.incidents import Episode, Memory, episode_key, is_cut, is_new
from perfloop_analyzer.ports import Query
from perfloop_analyzer.series import Batch, Grid, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.pipeline.cycle import Knowledge
    from perfloop_analyzer.ports import Result

STEP_SECONDS = 60.0
POINTS = 1440


def find_cut(result: Result, memory: Memory) -> list[Finding]:
    """Return the breaches that reach back to the window's start, and that no cycle before knew."""
    return [
        finding
        for finding in result.findings
        if finding.detector == "threshold" and is_cut(finding) and is_new(finding, memory)
    ]


def day_before(findings: Sequence[Finding], knowledge: Knowledge, at: float) -> tuple[list[Query], Grid]:
    """Return the queries of the findings' signals, and the day that ends at a moment."""
    table, window = knowledge.by_name(), knowledge.settings.window
    names = sorted({finding.signal for finding in findings} & set(table))
    grid = Grid(at - STEP_SECONDS * (POINTS - 1), STEP_SECONDS, POINTS)
    return [Query(name, table[name].query(window)) for name in names], grid


def find_starts(
    findings: Sequence[Finding], days: Mapping[str, Batch], catalog: Mapping[str, Signal], memory: Memory, at: float
) -> Memory:
    """Return the memory with an episode for each finding whose day shows when it began; `days` are by signal."""
    # Not seen before the last look: else what is known of others would seem to have ended since.
    seen = at if memory.looked is None else memory.looked
    episodes = {}
    for finding in findings:
        batch, signal = days.get(finding.signal), catalog.get(finding.signal)
        if batch is None or signal is None:
            continue
        for row, labels in enumerate(batch.labels):
            if labels == finding.labels and (began := _began(batch.values[[row]], batch.grid, signal, labels)):
                episodes[episode_key(finding)] = Episode(*began, seen=seen)
    return memory.merge(Memory(seen, episodes)) if episodes else memory


def _began(values: np.ndarray, grid: Grid, signal: Signal, labels: Mapping[str, str]) -> tuple[float, float | None]:
    breach = find_breaches(values, signal.limit_of(service_of(labels, signal.service)), signal.direction)
    onset = int(breach.onset[0])
    before = values[0, :onset]
    usual = float(np.nanmedian(before)) if np.isfinite(before).any() else None
    return grid.start + onset * grid.step, usual
