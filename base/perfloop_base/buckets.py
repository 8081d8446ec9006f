"""The bounds of the buckets of our histograms of times, for every program, and PERFLOOP_BUCKETS, which changes them.

A quantile of a histogram is only known to lie in one bucket, and `histogram_quantile` draws a straight line through it:
what always takes 501 ms reads 970 ms where 0.5 and 1 s are neighbours. With bounds that are at most 10.1 % apart every
percentile up to the 99th is within 10.1 % of the truth, whatever the distribution (tests/base/test_buckets.py).
"""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE = "PERFLOOP_BUCKETS"
# Objectives count what is at or below a bound: those of slos.yml stay, whatever else is chosen.
OBJECTIVES = (0.1, 0.5, 1.0)
MOST_BOUNDS = 500

# Numbers between 1 and 10: round where limits are usually set, and nowhere more than 10.1 % apart.
_FINE = (
    *(1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.651, 1.817),
    *(2, 2.15, 2.3, 2.5, 2.75, 3, 3.302, 3.634, 4, 4.3, 4.6),
    *(5, 5.5, 6, 6.5, 7, 7.5, 8.255, 9.085),
)
# The preferred numbers R10 of ISO 3, with OpenTelemetry's 7.5: at most 28 % apart.
_MEDIUM = (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 7.5, 8)


def _ladder(numbers: Iterable[float]) -> tuple[float, ...]:
    """Return the bounds from 100 µs to 60 s by these numbers, and few ones for what is shorter or longer."""
    # By their text: 1.1 * 0.0001 is 0.00011000000000000002.
    rungs = [float(f"{number}e{power}") for power in range(-4, 2) for number in numbers]
    return (0.00001, 0.00002, 0.00005, *(rung for rung in rungs if rung <= 60), 75.0, 100.0, 150.0, 200.0, 300.0)  # noqa: PLR2004 - the end of the ladder, in seconds


NAMED = {
    "fine": _ladder(_FINE),
    "medium": _ladder(_MEDIUM),
    # OpenTelemetry's advice for HTTP, with the 0.2, 2 and 5 s that thresholds compare with, and two for streams.
    # https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
    "coarse": (
        *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75),
        *(1.0, 2.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0),
    ),
}
DEFAULT = NAMED["fine"]
_RULE = (
    f"it must be one of {', '.join(NAMED)}, or up to {MOST_BOUNDS} ascending bounds in seconds above 0, as 0.01,0.1,1"
)


def read_bounds(environment: Mapping[str, str] = os.environ) -> tuple[float, ...]:
    """Return the upper bounds in seconds, ascending, without +Inf: those of PERFLOOP_BUCKETS, or the fine ones.

    Raises:
        ConfigError: the variable has neither a name nor bounds.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT
    if text in NAMED:
        return NAMED[text]
    try:
        bounds = tuple(map(float, text.split(",")))
    except ValueError:
        bounds = ()
    ascending = all(low < high for low, high in pairwise(bounds))
    if not 0 < len(bounds) <= MOST_BOUNDS or not ascending or bounds[0] <= 0 or not math.isfinite(bounds[-1]):
        raise ConfigError(f"{VARIABLE} has the value {text!r}; {_RULE}.")
    return tuple(sorted({*bounds, *OBJECTIVES}))


def bucket_of(seconds: float, bounds: tuple[float, ...] = DEFAULT) -> tuple[float, float]:
    """Return the bounds of the bucket of a value: it is above the first, and at most the second, or infinity."""
    place = bisect_left(bounds, seconds)
    return (bounds[place - 1] if place else 0.0), (bounds[place] if place < len(bounds) else math.inf)
