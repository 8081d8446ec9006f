"""The expected improvement, computed from measured values; where inputs are missing there is a sentence instead.

Every formula returns the value of one metric now and afterwards, in that metric's unit, with two bounds; the
improvement is the share that goes away. What an input of 0, below 0, NaN or infinity would make of it is not said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.recommend.capacity import pool_size, replicas, right_size, scalability
from perfloop_analyzer.recommend.dependencies import cache_share, latency_share
from perfloop_analyzer.recommend.estimates import Estimate, Measured, UnknownGainError
from perfloop_analyzer.recommend.recovery import relief, restore, return_to_expected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend.recommendation import Improvement
    from perfloop_analyzer.recommend.rules import Computation

__all__ = ["Measured", "compute", "estimate", "expect", "relief"]


def estimate(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """Return the metric that a rule's formula promises to reduce, now and afterwards.

    Raises:
        UnknownGainError: The inputs give no number; it says why.
    """
    return _METHODS[how.method](how, finding, measured)


def expect(how: Computation, finding: Finding, measured: Measured) -> Improvement | str:
    """Return what a rule's formula gives for a finding, or a sentence that says why it gives nothing."""
    try:
        return estimate(how, finding, measured).improvement()
    except UnknownGainError as reason:
        return f"Not known: {reason}."


def compute(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """Return what a rule's formula gives for a finding; None where its inputs give no number."""
    expected = expect(how, finding, measured)
    return None if isinstance(expected, str) else expected


_METHODS: Mapping[str, Callable[[Computation, Finding, Measured], Estimate]] = {
    "return_to_expected": return_to_expected,
    "latency_share": latency_share,
    "cache_share": cache_share,
    "pool_size": pool_size,
    "replicas": replicas,
    "right_size": right_size,
    "scalability": scalability,
    "restore": restore,
}
