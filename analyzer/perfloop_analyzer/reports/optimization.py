"""The optimization report: recommendations through their life in a window, what they brought, and what they save."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.recommend import gain_words, measured_words, proved_words
from perfloop_analyzer.recommend.money import MONEY, effort_hours
from perfloop_analyzer.recommend.track_record import is_inside, outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.reports.window import Window

EXPECTED, MEASURED_SAVING = "expected", "measured"
# The steps in the order of a life, and how a report says that so many took them.
STEPS = {
    "open": "opened",
    "accept": "accepted",
    "implement": "implemented",
    "prove": "proved by a replay",
    "validate": "validated",
    "refute": "without effect",
    "confound": "explained by something else",
    "give_up": "undecided",
    "heal": "healed by themselves",
    "dismiss": "dismissed",
    "reopen": "opened again",
}


@dataclass(frozen=True, slots=True)
class OptimizationFacts:
    """What is known of recommendations; None where the database did not answer, and `unknown` says why.

    Attributes:
        events: The steps of each one's life by its id, as the database has them.
        savings: Money per month by id and kind, expected or measured.
        currency: Of the money; empty where no prices are given.
    """

    recommendations: Sequence[Recommendation] | None
    events: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    savings: Mapping[tuple[str, str], float] = field(default_factory=dict)
    currency: str = ""
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation, the steps that it took in the window, its saving in money per month, and what it costs."""

    recommendation: Recommendation
    steps: tuple[str, ...]
    expected_saving: float | None
    measured_saving: float | None
    effort_hours: float
    effort_cost: float | None

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody."""
        return self.recommendation.state == "open"

    @property
    def kept_its_promise(self) -> bool | None:
        """Whether it brought what was expected; None where that is not known."""
        gain, expected = outcome_of(self.recommendation), self.recommendation.improvement
        return None if gain is None or expected is None else is_inside(expected, gain)

    @property
    def payback_months(self) -> float | None:
        """After how many months its saving, measured where it was, has paid for the work; None where nobody knows."""
        saving = self.expected_saving if self.measured_saving is None else self.measured_saving
        return _payback(saving, self.effort_cost)

    @property
    def brought(self) -> str:
        """What it brought, in words: proved, else measured; empty before."""
        return proved_words(self.recommendation) or measured_words(self.recommendation)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        one = self.recommendation
        return {
            "id": one.id,
            "service": one.service,
            "title": one.title,
            "category": one.category,
            "priority": one.priority,
            "state": one.state,
            "effort": one.effort,
            "effort_hours": self.effort_hours,
            "steps": list(self.steps),
            "expected": gain_words(one.improvement) if one.improvement else None,
            "brought": self.brought or None,
            "gain_ratio": outcome_of(one),
            "as_expected": self.kept_its_promise,
            "reason": one.reason or None,
            "expected_saving_per_month": self.expected_saving,
            "measured_saving_per_month": self.measured_saving,
            "payback_months": self.payback_months,
        }


@dataclass(frozen=True, slots=True)
class Optimization:
    """The recommendations that moved in the window, and those that are open at its end, the most urgent first.

    Of those that moved, the ones that moved most come first.

    Attributes:
        counts: How many took each step in the window.
        expected_saving, measured_saving: Sums of money per month over the open ones and over all measured ones; None
            where there is none.
        measured_cost: What the work on the measured ones cost; None where an hour of it has no price.
    """

    moved: tuple[Advice, ...]
    open: tuple[Advice, ...]
    counts: Mapping[str, int]
    expected_saving: float | None
    measured_saving: float | None
    currency: str
    unknown: tuple[str, ...] = ()
    is_known: bool = True
    measured_cost: float | None = None

    @property
    def payback_months(self) -> float | None:
        """After how many months what was done has paid for the work on it; None where nobody knows."""
        return _payback(self.measured_saving, self.measured_cost)

    @property
    def promises(self) -> tuple[int, int]:
        """How many of those that moved brought what was expected, and of how many that is known."""
        known = [one.kept_its_promise for one in self.moved if one.kept_its_promise is not None]
        return sum(known), len(known)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "known": self.is_known,
            "counts": dict(self.counts),
            "moved": [one.as_dict() for one in self.moved],
            "open": [one.as_dict() for one in self.open],
            "expected_saving_per_month": self.expected_saving,
            "measured_saving_per_month": self.measured_saving,
            "payback_months": self.payback_months,
            "currency": self.currency or None,
        }


def build_optimization(facts: OptimizationFacts, window: Window) -> Optimization:
    """Return what became of recommendations in a window."""
    if facts.recommendations is None:
        return Optimization((), (), {}, None, None, facts.currency, facts.unknown, is_known=False)
    known = [
        _advice(replace(one, state=state), facts, window)
        for one in facts.recommendations
        if (state := _state_at(facts.events.get(one.id, ()), window.end))
    ]
    counts = Counter(step for one in known for step in one.steps)
    waiting = tuple(one for one in known if one.is_open)
    return Optimization(
        tuple(sorted((one for one in known if one.steps), key=lambda one: -len(one.steps))),
        waiting,
        {step: counts[step] for step in STEPS if counts[step]},
        _total(one.expected_saving for one in waiting),
        _total(one.measured_saving for one in known),
        next((currency for one in facts.recommendations if (currency := _money(one).get("currency"))), facts.currency),
        facts.unknown,
        measured_cost=_total(one.effort_cost for one in known if one.measured_saving is not None),
    )


def _state_at(events: Sequence[Mapping[str, Any]], at: float) -> str:
    """Return the state that the last step before a moment led to; empty where there was none yet."""
    return next((str(event["state"]) for event in reversed(events) if float(event["at"]) < at), "")


def _advice(one: Recommendation, facts: OptimizationFacts, window: Window) -> Advice:
    steps = tuple(
        str(event["step"])
        for event in facts.events.get(one.id, ())
        if window.start <= float(event["at"]) < window.end and event["step"] in STEPS
    )
    money = _money(one)
    expected, measured = (
        _number(money.get(f"{kind}_saving_per_month", facts.savings.get((one.id, kind))))
        for kind in (EXPECTED, MEASURED_SAVING)
    )
    return Advice(one, steps, expected, measured, effort_hours(one), _number(money.get("effort_cost")))


def _money(one: Recommendation) -> Mapping[str, Any]:
    """Return what a recommendation is worth by the prices in use; nothing where there are none."""
    money = one.values.get(MONEY)
    return money if isinstance(money, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _payback(saving: float | None, cost: float | None) -> float | None:
    return cost / saving if saving and saving > 0 and cost else None


def _total(amounts: Any) -> float | None:
    known = [amount for amount in amounts if amount is not None and math.isfinite(amount)]
    return math.fsum(known) if known else None
