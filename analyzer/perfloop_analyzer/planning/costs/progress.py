"""Where the goal stands: what everything cost when saving began, what it costs now, and what is expected of it.

    reduction = 1 - cost of an hour / cost of an hour at the baseline

The whole bill is compared, what nobody has included: a core that a service gives back is saved once the machine has one
core less. Savings of recommendations are added up as if each were the only one about its resource.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.planning.figures import Figure
from perfloop_base.prices import HOURS_A_MONTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS = ("expected", "measured")
NOTHING_ACCEPTED = (
    "No reduction of cost is known: no recommendation was accepted yet, and prices.yml has no goal.since to compare "
    "with."
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What everything cost in an hour, in `currency`.

    Attributes:
        since: The moment that was asked for, in Unix seconds: goal.since, or when a recommendation was first accepted.
        at: When the cost was known first from then on.
    """

    since: float
    at: float
    currency: str
    per_hour: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the goal stands; money is in `currency`, costs are of an hour, savings of a month.

    Attributes:
        now: The cost of an hour now.
        goal: The share of the baseline that is to be saved.
        baseline: What is compared with; None where nothing is, and `note` says why.
        savings: The sum of the savings of recommendations, by `expected` (those to be done or measured yet) and
            `measured`.
    """

    currency: str
    now: float
    goal: float
    baseline: Baseline | None
    savings: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def reductions(self) -> dict[str, float]:
        """Return the share that is saved now, by what was measured, and if everything expected were done as well."""
        if self.baseline is None or self.baseline.per_hour <= 0:
            return {}
        saved = {kind: self.savings.get(kind, 0.0) / HOURS_A_MONTH for kind in KINDS}
        costs = {
            "now": self.now,
            "planned": self.now - saved["expected"],
            "measured": self.baseline.per_hour - saved["measured"],
        }
        return {kind: 1.0 - cost / self.baseline.per_hour for kind, cost in costs.items()}

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        baseline = self.baseline
        return {
            "currency": self.currency,
            "per_hour": self.now,
            "goal": self.goal,
            "baseline_per_hour": baseline.per_hour if baseline else None,
            "baseline_at": baseline.at if baseline else None,
            "reduction": self.reductions(),
            "savings_per_month": dict(self.savings),
            "note": self.note,
        }

    def figures(self) -> Iterator[Figure]:
        """Yield what is published of it."""
        for kind, money in self.savings.items():
            yield Figure("savings_per_month", {"kind": kind}, money)
        if self.baseline is not None:
            yield Figure("cost_baseline_per_hour", {}, self.baseline.per_hour)
            yield Figure("cost_goal_per_hour", {}, self.baseline.per_hour * (1 - self.goal))
        for kind, share in self.reductions().items():
            yield Figure("cost_reduction_ratio", {"kind": kind}, share)


def compared_note(since: float | None, baseline: Baseline | None, at: float) -> str:
    """Return why nothing is compared, or with another moment than was asked for; empty otherwise."""
    if since is None:
        return NOTHING_ACCEPTED
    if since > at:
        return f"No reduction of cost is known: {_day(since)}, the day to compare with, has not come yet."
    if baseline is None:
        return "No reduction of cost is known yet: the cost to compare with is not known."
    if baseline.at > since + 2 * 3600.0:
        return (
            f"The cost of {_day(since)} is not known: it is compared with that of {_day(baseline.at)}, the first known."
        )
    return ""


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
