"""What days of history say about the use of something: its percentiles, its peak, and whether it grows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import theilslopes

from perfloop_analyzer.recommend.rightsizing import LEAST_DAYS, Usage, learn_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.series import Batch, Floats, Labels

DAY_SECONDS = 86_400.0
WEEK_DAYS = 6.5  # from the first value to the last of a week that was read; less has not seen every day of a week
LEAST_SHARE = 0.5  # of the time, of which there must be values
LEAST_GROWTH_DAYS = 3
GROWTH_CONFIDENCE = 0.9
MOST = 1e18  # of anything that can be used: more is no measurement
MINUTE_SECONDS = 60.0  # the Vertical Pod Autoscaler's sample


@dataclass(frozen=True, slots=True)
class Use:
    """The use of one thing over days, in the unit of its series; each value is the highest of its step.

    Attributes:
        usage: The percentiles and the peak. Its points are minutes, as the Vertical Pod Autoscaler counts them.
        mean: The mean of the values.
        growth: By how much the peak of a day grows each day: the upper bound where growth is sure, else 0.
        seen: The share of the days of which there are values.
    """

    usage: Usage
    mean: float
    growth: float = 0.0
    seen: float = 1.0

    @property
    def peak(self) -> float:
        """The largest value."""
        return self.usage.peak

    @property
    def days(self) -> float:
        """From the first value to the last."""
        return self.usage.days

    @property
    def is_enough(self) -> bool:
        """Whether a size may be read from it."""
        return self.usage.is_enough and self.days >= LEAST_DAYS and self.seen >= LEAST_SHARE


# The values of a thing's labels, in the order in which its kind names them.
Key = tuple[str, ...]
# By the name of the question, then by thing.
Learned = Mapping[str, Mapping[Key, Use]]


def key_of(labels: Labels, by: Sequence[str]) -> Key:
    """Return what distinguishes a thing; a label that a series does not have is empty."""
    return tuple(labels.get(name, "") for name in by)


def learn_uses(batches: Mapping[str, Batch], by: Mapping[str, Sequence[str]], counters: frozenset[str]) -> Learned:
    """Return the use of each thing in each answer.

    Args:
        batches: The history, by the name of the question.
        by: The labels that name a thing, by the name of the question.
        counters: The questions whose 0 says nothing: what runs uses some CPU and memory, so that a counter that does
            not move has stopped, and memory of which nothing is used is not counted.
    """
    return {name: dict(_learn(batch, by[name], name in counters)) for name, batch in batches.items() if name in by}


def _learn(batch: Batch, by: Sequence[str], is_counter: bool) -> list[tuple[Key, Use]]:  # noqa: FBT001 - one caller
    values = np.where(np.abs(batch.values) <= MOST, batch.values, np.nan)
    if is_counter:
        values = np.where(values > 0, values, np.nan)
    ages, step = batch.grid.end - batch.grid.times(), batch.grid.step
    found = []
    for row, usage in learn_usage(values, ages):
        there = values[row][np.isfinite(values[row])]
        in_minutes = replace(usage, points=round(usage.points * step / MINUTE_SECONDS))
        seen = min(1.0, usage.points * step / max(usage.days * DAY_SECONDS, step))
        use = Use(in_minutes, float(there.mean()), grown_by(values[row], ages), seen)
        found.append((key_of(batch.labels[row], by), use))
    return found


def grown_by(values: Floats, ages: Floats) -> float:
    """Return by how much the peak of a day grows each day, at most; 0 where growth is not sure.

    The slope is Theil and Sen's over the peaks of days that end now (Sen, JASA 63, 1968): one odd day moves it little.

    Args:
        values: The use, NaN where there is none, shape (points,).
        ages: How old each value is in seconds, shape (points,).
    """
    days = np.floor(ages / DAY_SECONDS).astype(int)
    there = np.isfinite(values)
    peaks = [(day, float(values[there & (days == day)].max())) for day in np.unique(days[there])]
    if len(peaks) < LEAST_GROWTH_DAYS:
        return 0.0
    at, highest = (np.array(column, dtype=np.float64) for column in zip(*peaks, strict=True))
    _, _, low, high = theilslopes(highest, -at, alpha=GROWTH_CONFIDENCE)
    return float(high) if low > 0 and math.isfinite(high) else 0.0
