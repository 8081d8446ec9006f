"""The work on many series, in blocks of rows: functions of arrays alone, which any process can do."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.anomaly import Anomalies, find_anomalies, local_band
from perfloop_analyzer.detectors.change_point import ChangePoint, find_change_points, shifted_rows
from perfloop_analyzer.detectors.spread import slices

if TYPE_CHECKING:
    from perfloop_analyzer.detectors.spread import Spread
    from perfloop_analyzer.pipeline.history import Season
    from perfloop_analyzer.series import Floats
    from perfloop_base.thresholds import Direction


@dataclass(frozen=True, slots=True)
class Measure:
    """How a signal's newest points are judged.

    Attributes:
        direction: On which side values are bad.
        floor: The smallest half width of a band, in the signal's unit.
        level: The p-value at the edge of the band.
        persist: How many of the newest points must be outside.
    """

    direction: Direction
    floor: float
    level: float
    persist: int


def judge(values: Floats, season: Season | None, measure: Measure, spread: Spread) -> Anomalies:
    """Return the anomalies of `values`, shape (series, points); `season` has what the history expects of each."""
    blocks = [(values[part], season and season.take(part), measure) for part in slices(len(values))]
    parts = spread.map(_judge_block, blocks)
    if len(parts) == 1:
        return parts[0]
    return Anomalies(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Anomalies)))


def _judge_block(values: Floats, season: Season | None, measure: Measure) -> Anomalies:
    local = local_band(values, measure.direction)
    band = replace(local if season is None else season.widen(local), persist=measure.persist)
    return find_anomalies(values, band, measure.direction, measure.floor, measure.level)


def newest_steps(values: Floats, alpha: float, spread: Spread) -> dict[int, ChangePoint]:
    """Return the newest step of each row of `values`, shape (series, points), that has one of at most `alpha`."""
    parts = slices(len(values))
    found = spread.map(_step_block, [(values[part], alpha) for part in parts])
    return {
        part.start + point.row: replace(point, row=part.start + point.row)
        for part, points in zip(parts, found, strict=True)
        for point in points
    }


def _step_block(values: Floats, alpha: float) -> list[ChangePoint]:
    rows = shifted_rows(values)
    newest: dict[int, ChangePoint] = {}
    for point in find_change_points(values[rows], alpha):
        if point.is_step:
            newest[int(rows[point.row])] = replace(point, row=int(rows[point.row]))
    return list(newest.values())
