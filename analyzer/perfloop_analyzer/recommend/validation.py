"""Whether a recommendation improved its metric: the values while the finding held against those after the change.

The points of both spans are one rate window apart, so that no two share a sample. Mann & Whitney's U test (Ann. Math.
Statist. 18, 1947) at 98%, the level at which Netflix's Kayenta judges a canary, decides whether the difference is
chance. The gain is 1 minus the Hodges-Lehmann ratio, the median of all quotients after / before; its interval are the
quotients of rank nm/2 -+ z sqrt(nm(n+m+1)/12). Of a ratio that should be high, such as cache hits, the complement to 1
is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import mannwhitneyu

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.series import Floats

LEAST_BEFORE = 3  # points
AFTER = 10  # points
BEFORE = 30  # points
CHANCE = 0.02
Z98 = 2.3263478740408408


@dataclass(frozen=True, slots=True)
class Trial:
    """What is compared. In Unix seconds: the finding held from `since` to `until`, the change was at `changed`."""

    metric: str
    service: str
    labels: Mapping[str, str]
    since: float
    until: float
    changed: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The measured gain as a share of the metric with its 98% interval, and the medians before and after."""

    gain: float
    low: float
    high: float
    p_value: float
    before: float
    after: float

    @property
    def holds(self) -> bool:
        """Whether the metric improved, and not by chance."""
        return self.gain > 0 and self.p_value <= CHANCE

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


def judge(before: Floats, after: Floats, *, above: bool) -> Verdict | None:
    """Compare two spans of one metric, each of the shape (points,).

    Returns:
        The verdict; None with fewer than LEAST_BEFORE or AFTER finite points, or when a quotient is undefined.
    """
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if len(before) < LEAST_BEFORE or len(after) < AFTER:
        return None
    if not above:
        before, after = 1.0 - before, 1.0 - after
    if before.min() <= 0:
        return None
    quotients = np.sort((after[:, None] / before[None, :]).ravel())
    low, high = _bounds(len(before), len(after))
    p_value = 1.0 if np.ptp(np.concatenate([before, after])) == 0 else float(mannwhitneyu(before, after).pvalue)
    gain = 1.0 - float(np.median(quotients))
    middle = float(np.median(before)), float(np.median(after))
    return Verdict(gain, 1.0 - float(quotients[high]), 1.0 - float(quotients[low]), p_value, *middle)


def _bounds(one: int, other: int) -> tuple[int, int]:
    """Return the ranks of the interval's ends among the sorted quotients."""
    count = one * other
    reach = Z98 * np.sqrt(count * (one + other + 1) / 12.0)
    low = int(np.clip(np.floor(count / 2.0 - reach), 0, count - 1))
    return low, count - 1 - low
