"""How far the expectations of each rule came true, and what that makes of its next one.

An outcome is the gain that a proof found, else the one that was measured after the change. A rule's factor is the
geometric mean of brought over expected gains, drawn to 1 as if PRIOR earlier ones had brought exactly what was
expected, so that one outcome alone does not decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.recommend.recommendation import MEASURED, Improvement, Recommendation, read_improvement

if TYPE_CHECKING:
    from collections.abc import Iterable

PRIOR = 2
LEAST, MOST = 0.1, 2.0  # of the expected gain: what one outcome may say; a change that made things worse is the least
# Of these nobody knows what the change brought.
_UNKNOWN = frozenset({"confounded", "healed", "inconclusive"})


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """The outcomes of one rule: how many, how many of them within their expected bounds, and the factor."""

    outcomes: int = 0
    inside: int = 0
    factor: float = 1.0


def learn_track_records(recommendations: Iterable[Recommendation]) -> dict[str, TrackRecord]:
    """Return the track record of every rule of which an outcome is known."""
    shares: dict[str, list[tuple[float, bool]]] = {}
    for one in recommendations:
        gain, expected = outcome_of(one), expectation_of(one)
        if gain is not None and expected is not None and expected.ratio > 0:
            brought = min(max(gain / expected.ratio, LEAST), MOST)
            shares.setdefault(one.rule, []).append((brought, is_inside(expected, gain)))
    return {
        rule: TrackRecord(
            len(found),
            sum(inside for _, inside in found),
            math.exp(sum(math.log(brought) for brought, _ in found) / (len(found) + PRIOR)),
        )
        for rule, found in shares.items()
    }


def outcome_of(recommendation: Recommendation) -> float | None:
    """Return the gain that a change brought, as a share; None where nobody knows."""
    if recommendation.proved_gain is not None:
        return recommendation.proved_gain
    if recommendation.state not in MEASURED - _UNKNOWN or "measured" not in recommendation.values:
        return None
    return float(recommendation.values["measured"]["gain"])


def expectation_of(recommendation: Recommendation) -> Improvement | None:
    """Return what was expected when the outcome became known; what is expected now has learned from it."""
    proved = recommendation.values.get("proved")
    then = proved.get("expected") if recommendation.proved_gain is not None and isinstance(proved, Mapping) else None
    if then is None:
        return recommendation.improvement
    try:
        return read_improvement(then)
    except (TypeError, ValueError, KeyError):
        return recommendation.improvement


def is_inside(improvement: Improvement, gain: float) -> bool:
    """Return whether a gain lies within the expected bounds; where more may go away, more is within."""
    return improvement.low <= gain and (improvement.at_least or gain <= improvement.high)


def weigh(improvement: Improvement, record: TrackRecord | None) -> Improvement:
    """Return an expectation as the rule's outcomes make it, with a clause that says so."""
    if record is None:
        return improvement
    ratio, low, high = (min(one * record.factor, 1.0) for one in (improvement.ratio, improvement.low, improvement.high))
    changes = "1 earlier change" if record.outcomes == 1 else f"{record.outcomes} earlier changes"
    words = f"{improvement.explanation}; times {record.factor:.2g}: of {changes} by this rule {record.inside} "
    return replace(improvement, ratio=ratio, low=low, high=high, explanation=f"{words}brought what was expected")


def count_outcomes(records: Mapping[str, TrackRecord]) -> list[tuple[tuple[str, str], float]]:
    """Return the number of outcomes by rule and by whether they were as expected, for a metric."""
    return [
        ((rule, inside), float(count))
        for rule, record in sorted(records.items())
        for inside, count in (("true", record.inside), ("false", record.outcomes - record.inside))
    ]
