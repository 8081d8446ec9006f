"""How far two groups of runs are apart, and how sure that is: judged by the variation between runs.

What varies within a run (second by second) says little about what the next run will be: a process that is started
again has another memory layout, another neighbour, another temperature. So a run is one value here, and a level is
known from as many values as there are runs.

Latencies and rates are compared as logarithms: what people mean by a change is a ratio, and noise multiplies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, variance
from typing import TYPE_CHECKING

from perfloop_loadgen.compare.student import critical_t, two_sided_p

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of one side: their mean, the variance of one run, and with how many degrees of freedom that is known."""

    mean: float
    variance: float
    runs: int
    freedom: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Side:
        """Describe at least one value; a single one has no variance that is known."""
        if len(values) == 1:
            return cls(values[0], math.inf, 1, 0)
        return cls(fmean(values), variance(values), len(values), len(values) - 1)

    def with_noise(self, known_variance: float, freedom: float) -> Side:
        """Return the side with the variance that is known of the machine, where that is larger than its own."""
        if self.freedom and self.variance > known_variance:
            return self
        return replace(self, variance=known_variance, freedom=freedom)


@dataclass(frozen=True, slots=True)
class Difference:
    """New minus base: logarithms of ratios, or shares of requests.

    `most_freedom` limits the degrees of freedom where both variances are one estimate.
    """

    base: Side
    new: Side
    most_freedom: float = math.inf

    @classmethod
    def of_blocks(cls, base: Sequence[float], new: Sequence[float]) -> Difference:
        """Compare runs that were made in blocks, one of each side: by the differences inside of the blocks.

        What both runs of a block have in common, as a machine that is slower for an hour, is no noise then.
        """
        inside = [after - before for before, after in zip(base, new, strict=True)]
        return cls(
            Side(fmean(base), 0.0, len(base), len(base) - 1), Side(fmean(new), variance(inside), len(new), len(new) - 1)
        )

    @property
    def estimate(self) -> float:
        """Return the difference of the means."""
        return self.new.mean - self.base.mean

    @property
    def standard_error(self) -> float:
        """Return the standard deviation of the estimate."""
        return math.sqrt(self.base.variance / self.base.runs + self.new.variance / self.new.runs)

    @property
    def freedom(self) -> float:
        """Return the degrees of freedom of the standard error (Welch 1947, Satterthwaite 1946)."""
        parts = [(side.variance / side.runs, side.freedom) for side in (self.base, self.new)]
        total = sum(part for part, _ in parts)
        if not total or math.isinf(total):
            return 0.0 if math.isinf(total) else self.base.freedom + self.new.freedom
        return min(self.most_freedom, total**2 / sum(part**2 / freedom for part, freedom in parts if part))

    @property
    def p_value(self) -> float:
        """Return how probable so large a difference would be if nothing had changed; 1 where that is unknown."""
        error = self.standard_error
        if math.isinf(error) or not self.estimate:
            return 1.0
        return two_sided_p(self.estimate / error, self.freedom) if error else 0.0

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval that holds the true difference with this confidence; endless where that is unknown."""
        error = self.standard_error
        if math.isinf(error):
            return -math.inf, math.inf
        reach = critical_t(1 - confidence, self.freedom) * error if error else 0.0
        return self.estimate - reach, self.estimate + reach

    def with_runs(self, runs: int) -> Difference:
        """Return what is to be expected of so many runs a side that turn out like these."""
        base, new = (replace(side, runs=runs, freedom=max(side.freedom, runs - 1)) for side in (self.base, self.new))
        return Difference(base, new, self.most_freedom)
