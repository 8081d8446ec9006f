"""What the parts of planning work with: the newest answers, the limits of every signal, and the moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.series import current, service_of
from perfloop_base.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.planning.asks import Answers
    from perfloop_analyzer.series import Floats
    from perfloop_base.prices import Prices


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a plan is made.

    Attributes:
        answers: The answers that are new enough, by query name.
        catalog: The signals with the limits that are in use, by name.
        at: The moment in Unix seconds.
        prices: What resources cost; None where nobody gave prices.
        scaling: How many replicas each service may have, and what it shall carry.
    """

    answers: Answers
    catalog: Mapping[str, Signal]
    at: float
    prices: Prices | None = None
    scaling: Scaling = field(default_factory=Scaling)

    def newest(self, name: str, service: str) -> float | None:
        """Return the newest value of a service's series, summed over them; None where there is none."""
        batch = self.answers.get(name)
        if batch is None:
            return None
        values = current(batch.values)
        own = [float(values[row]) for row in self._rows(name, service)]
        known = [value for value in own if math.isfinite(value)]
        return sum(known) if known else None

    def course(self, name: str, service: str) -> Floats | None:
        """Return a service's values over the grid of the answer, summed over its series, shape (points,).

        NaN where no series has a value; None where there is no series.
        """
        rows = self._rows(name, service)
        if not rows:
            return None
        values = self.answers[name].values[rows]
        there = np.isfinite(values)
        return np.where(there.any(axis=0), np.where(there, values, 0.0).sum(axis=0), np.nan)

    def _rows(self, name: str, service: str) -> list[int]:
        batch = self.answers.get(name)
        labels = batch.labels if batch else ()
        return [row for row, one in enumerate(labels) if service_of(one) == service]
