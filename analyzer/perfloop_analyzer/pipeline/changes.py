"""Changes of the level within the window: out of the season, and out of the levels, that the series had before.

A level that moved is a finding once, from the cycle in which it is clear until it is left again, or until the window
no longer shows where it began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.change_point import ChangePoint
from perfloop_analyzer.detectors.former_levels import chance_before
from perfloop_analyzer.detectors.season import learned_line
from perfloop_analyzer.detectors.segments import block_p_value
from perfloop_analyzer.findings import Finding, Reading, Severity
from perfloop_analyzer.pipeline.history import History, rows_of
from perfloop_analyzer.pipeline.kernels import newest_steps
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from perfloop_analyzer.incidents import Memory
    from perfloop_analyzer.pipeline.detect import Settings
    from perfloop_analyzer.pipeline.subject import Subject
    from perfloop_analyzer.series import Floats

ALPHA = 1e-3  # of a change that is published; a finding needs the cycle's own level
LEAST_CHANGE = 0.05  # of the level before
# From which probability on a level is one that the series had: one block in a hundred was as high. A change that was
# found goes on until it is one in ten.
HAD, HAD_CLEARLY = 0.01, 0.1


def find_changes(
    subject: Subject, settings: Settings, readings: list[Reading]
) -> tuple[list[tuple[Finding, float]], list[Finding]]:
    """Return each series' newest step, if it is for the worse and leads out of the levels that the series had before.

    Only rows whose newest part differs from the rest are searched: only they can contain a step that is new.

    Args:
        subject: The window.
        settings: What was learned from days of history, what the cycles before found, and the false discovery rate.
        readings: What is published, to add to: the newest step of each row that is searched, for better or worse,
            unless it leads back to a level from before.

    Returns:
        The steps that may be found, each with its p-value, and those that were found before and still stand.
    """
    window, memory = Window(subject, settings.history), settings.memory
    found = []
    for row, point in newest_steps(window.values, ALPHA, settings.spread).items():
        # A level that the series only went back to is no news.
        if window.chance(row, point.index, above=point.after > point.before) < HAD_CLEARLY:
            readings += _readings(subject, row, point)
        p_value = _p_value(window.values[row], point)
        if p_value <= settings.level and _matters(subject, point) and window.chance(row, point.index) < HAD:
            found.append((_finding(subject, row, point, p_value), p_value))
    return found, window.standing(memory)


class Window:
    """The values of a window, shape (series, points), without their learned season, beside what was before."""

    def __init__(self, subject: Subject, history: History) -> None:
        batch = subject.batch
        self._subject = subject
        self._known = history.learned.get(batch.signal)
        self._rows = rows_of(batch, history)
        self._sign = 1.0 if subject.signal.direction == "above" else -1.0
        self.values = batch.values
        self._expected = np.zeros(len(batch))
        if self._known is not None and (self._rows >= 0).any():
            line = learned_line(self._known.profile, batch.grid.times())[self._rows]
            line[self._rows < 0] = 0.0
            self._expected = line.mean(axis=1)
            self.values = batch.values - (line - self._expected[:, None])

    def chance(self, row: int, index: int, *, above: bool | None = None) -> float:
        """Return the probability that a block is as far off as the level since a step.

        Far is what is worse, or else what `above` says.

        The milder half of the time since then counts, so that a level that was left again is none. Blocks of that
        length before the step and in the history are compared; where neither is known well enough it is 0.
        """
        sign = self._sign if above is None else 1.0 if above else -1.0
        after = sign * self.values[row, index:]
        size = len(after) // 2
        if not np.isfinite(after[:size]).any() or not np.isfinite(after[size:]).any():
            return 1.0
        height = min(float(np.nanmean(after[:size])), float(np.nanmean(after[size:])))
        chances = [chance_before(sign * self.values[row, :index], size, height)]
        # The learned levels are those of the worse side.
        if self._known is not None and sign == self._sign:
            height -= sign * float(self._expected[row])
            seconds = size * self._subject.batch.grid.step
            chances.append(self._known.levels.chance(int(self._rows[row]), seconds, height))
        return max((chance for chance in chances if np.isfinite(chance)), default=0.0)

    def standing(self, memory: Memory) -> list[Finding]:
        """Return the findings of series that were unusual before, where the level since then still stands.

        The place is known: no search, which finds it in one cycle and not in the next, is asked.
        """
        if not memory.episodes:
            return []
        known = [
            (row, episode)
            for row, key in enumerate(self._subject.hashes())
            if (episode := memory.episodes.get(f"{key}/unusual")) is not None and memory.stands(episode.seen)
        ]
        found = (self._standing(row, episode.began) for row, episode in known)
        return [finding for finding in found if finding is not None]

    def _standing(self, row: int, began: float) -> Finding | None:
        subject = self._subject
        index, values = subject.batch.grid.split(began), self.values[row]
        p_value = block_p_value(values, index)
        if p_value > ALPHA:
            return None
        point = ChangePoint(row, index, float(np.nanmean(values[:index])), float(np.nanmean(values[index:])), p_value)
        stands = _matters(subject, point) and self.chance(row, index) < HAD_CLEARLY
        return _finding(subject, row, point, p_value) if stands else None


def _readings(subject: Subject, row: int, point: ChangePoint) -> tuple[Reading, ...]:
    moment = subject.batch.grid.start + point.index * subject.batch.grid.step
    both = (point.before, point.after)
    levels = " \N{RIGHTWARDS ARROW} ".join(quantity(level, subject.signal.unit, 2) for level in both)
    return (
        subject.reading(row, "change_point_timestamp_seconds", moment),
        subject.reading(row, "change_point_before", point.before),
        subject.reading(row, "change_point_after", point.after),
        subject.reading(row, f"change_point_info:{levels}", 1.0),
    )


def _p_value(values: Floats, point: ChangePoint) -> float:
    # The search chose the interval as well as the position in it.
    return min(1.0, max(point.p_value, block_p_value(values, point.index)) * len(values))


def _matters(subject: Subject, point: ChangePoint) -> bool:
    """Return whether a step is for the worse and large enough."""
    signal = subject.signal
    moved = abs(point.after - point.before)
    matters = moved >= max(signal.min_deviation, LEAST_CHANGE * abs(point.before))
    return matters and signal.is_worse(point.after, point.before)


def _finding(subject: Subject, row: int, point: ChangePoint, p_value: float) -> Finding:
    return subject.finding(
        row,
        "change_point",
        Severity.INFO,
        onset=point.index,
        value=point.after,
        expected=point.before,
        p_value=p_value,
    )
