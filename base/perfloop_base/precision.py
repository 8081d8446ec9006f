"""Quantiles with no more precision than their buckets have: a number of two digits, or the bucket's bounds.

`histogram_quantile` draws a straight line through the bucket that holds the quantile. Where neighbouring bounds are far
apart, as OpenTelemetry's and vLLM's are, only the bounds are known: between 0.5 and 1 s, not 970 ms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A histogram of so many buckets is fine: from 100 µs to 60 s they are at most 28 % apart. OpenTelemetry has 15.
FINE = 60
# Of a step function it finds the lower bound of the step, to twelve digits; 0 would find the lowest bound of all.
_FIRST = "0.000000000001"
_LAST = "1"
# Within the quotes of a matcher may stand any bracket.
_RATE = re.compile(r"""\brate\(((?:[^\[\]()"]|"(?:[^"\\]|\\.)*")*)\[[^\]]*\]\)""")
_BUCKET = re.compile(r"_bucket\b")
_P95 = ":p95_"  # in the name of a recorded percentile


@dataclass(frozen=True, slots=True)
class Precise:
    """What is known of a quantile, as instant queries: of `value` or of the bounds only one has a result.

    Attributes:
        value: the quantile, rounded to two digits, of a fine histogram.
        low: the lower bound of the bucket that holds it, where that is above 0.
        high: its upper bound, where it has one.
    """

    value: str
    low: str
    high: str


def precise(q: float, buckets: str) -> Precise:
    """Return what is known of a quantile.

    Args:
        q: between 0 and 1.
        buckets: the query of the rates of the buckets, by `le` and the labels that are wanted.
    """
    quantile = f"histogram_quantile({q:g}, {buckets})"
    # How many there are, and how many values they hold, is asked of what costs least: these queries are asked often.
    newest, values = _RATE.sub(r"(\1)", buckets), _BUCKET.sub("_count", buckets)
    coarse = f"count without (le) ({newest}) < {FINE}"
    # The buckets as a step: 0 below the bucket that holds the quantile, 1 from there on.
    step = f"{buckets} >= bool ignoring (le) group_left () ({q:g} * ({values}) > 0)"
    low, high = (f"histogram_quantile({edge}, {step})" for edge in (_FIRST, _LAST))
    # Of a value above the highest bound both are that bound, which is then the lower one.
    return Precise(
        value=f"{two_digits(quantile)} unless ({coarse})",
        low=f"{low} > 0.000000001 and ({coarse})",
        high=f"{high} > ({low}) and ({coarse})",
    )


def two_digits(expr: str) -> str:
    """Return the expression rounded to two digits: a tenth is as exact as a percentile of a fine histogram is."""
    power = f"10 ^ floor(log10({expr}))"
    return f"round({expr} / {power}, 0.1) * {power}"


def bounds_of(record: str) -> tuple[str, str]:
    """Return the names of the series with the lower and the upper bound of a recorded 95th percentile."""
    low, high = (record.replace(_P95, f"{_P95}{bound}_") for bound in ("low", "high"))
    return low, high


def recorded(record: str, selector: str, by: str) -> Precise:
    """Return what is known of the highest of the recorded percentiles that are selected; `by` identifies one."""
    low, high = (f"{name}{selector}" for name in bounds_of(record))
    return Precise(
        value=two_digits(f"max({record}{selector} unless on ({by}) ({low} or {high}))"),
        low=f"max({low})",
        high=f"max({high})",
    )
