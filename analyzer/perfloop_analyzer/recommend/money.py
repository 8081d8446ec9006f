"""What a recommendation is worth: the money that it saves or costs in a month, its effort, and its return.

A recommendation that changes a size says by how much of which priced resource (`Recommendation.added`); the prices in
use make money of it, so that other prices change every figure at once. What was measured stays as it was measured.

    saving per month = - sum over the resources of (amount added x price of a month)
    return per month = saving per month / cost of the effort;  payback = its inverse, in months
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

from perfloop_analyzer.config import MOST_EFFORT_HOURS
from perfloop_base.quantities import quantity
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_analyzer.recommend.recommendation import Recommendation
    from perfloop_base.prices import Prices

# Hours of work that a recommendation of medium effort takes, by category, from the first look to the release: defaults
# to plan with, not measurements. Whoever accepts a recommendation can give the hours.
EFFORT_HOURS: Mapping[str, float] = {
    "waste": 2.0,
    "infrastructure": 4.0,
    "monitoring": 4.0,
    "caching": 8.0,
    "database": 8.0,
    "api": 8.0,
    "llm": 8.0,
    "code": 16.0,
}
OTHER_EFFORT_HOURS = 8.0
EFFORT_FACTORS: Mapping[str, float] = {"none": 0.0, "low": 0.5, "medium": 1.0, "high": 2.0}
MACHINE_SIGNALS = frozenset({"cpu_used_ratio", "memory_used_ratio"})  # whose recommendations change machines
MEASURED_SAVING = "saved"  # among a recommendation's values: what was measured, with its currency
GIVEN_EFFORT = "effort_hours"
MONEY = "money"
SAVING_KINDS = ("expected", "measured")


@dataclass(frozen=True, slots=True)
class Worth:
    """What a recommendation is worth, in `currency`.

    Attributes:
        expected: Money that is saved in a month, negative where it costs more; None where no size changes, or there is
            no price.
        measured: The same as it was measured after the change; None before.
        effort_hours: Hours of work.
        effort_cost: What they cost; None where an hour has no price.
        note: Why there is no expected money although a size changes; empty otherwise.
    """

    currency: str
    expected: float | None
    measured: float | None
    effort_hours: float
    effort_cost: float | None
    note: str = ""

    @property
    def saving(self) -> float | None:
        """The money that is saved in a month, measured where it was measured, else expected."""
        return self.expected if self.measured is None else self.measured

    @property
    def monthly_return(self) -> float | None:
        """The saving of a month as a share of the effort's cost; None where nothing is saved, or the effort is free."""
        if not self.effort_cost or self.saving is None or self.saving <= 0:
            return None
        return self.saving / self.effort_cost

    @property
    def payback_months(self) -> float | None:
        """After how many months the effort is paid; None where there is no return."""
        return 1.0 / self.monthly_return if self.monthly_return else None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "currency": self.currency,
            "expected_saving_per_month": self.expected,
            "measured_saving_per_month": self.measured,
            "effort_hours": self.effort_hours,
            "effort_cost": self.effort_cost,
            "return_per_month": self.monthly_return,
            "payback_months": self.payback_months,
            "note": self.note,
        }


def worth_of(one: Recommendation, prices: Prices) -> Worth:
    """Return what a recommendation is worth by the prices in use."""
    hours = effort_hours(one)
    expected, note = _expected(one.added, prices)
    cost = None if prices.effort_hour is None else hours * prices.effort_hour
    measured = _measured(one, prices.currency)
    if measured is None and expected is not None:
        measured = _of_size(one, expected)
    return Worth(prices.currency, expected, measured, hours, cost, note)


def _of_size(one: Recommendation, expected: float) -> float | None:
    """Return the saving of a size that was measured itself: the part of what was to be freed that is free since."""
    measured, promised = one.values.get("measured"), one.improvement
    if not of_a_size(one) or promised is None or promised.ratio <= 0 or not isinstance(measured, Mapping):
        return None
    if measured.get("metric") != promised.metric or not _is_number(gain := measured.get("gain")):
        return None
    return expected * float(gain) / promised.ratio


def of_a_size(one: Recommendation) -> bool:
    """Return whether what it reduces is a size (`resize`), which is exact and what is paid for."""
    return isinstance(one.values.get("resize"), Mapping)


def of_machines(one: Recommendation) -> bool:
    """Return whether it makes machines larger that are too small: what it reduces is their use, not their size."""
    return one.signal in MACHINE_SIGNALS and not of_a_size(one)


def effort_hours(one: Recommendation) -> float:
    """Return the hours of work: as whoever accepted it said, else by its rule's category and effort."""
    given = one.values.get(GIVEN_EFFORT)
    if _is_number(given) and 0 <= float(given) <= MOST_EFFORT_HOURS:
        return float(given)
    return EFFORT_HOURS.get(one.category, OTHER_EFFORT_HOURS) * EFFORT_FACTORS.get(one.effort, 1.0)


def with_money(recommendations: Iterable[Recommendation], prices: Prices | None) -> tuple[Recommendation, ...]:
    """Return the recommendations with what each is worth under `values.money`; as they are without prices."""
    if prices is None:
        return tuple(recommendations)
    return tuple(replace(one, values={**one.values, MONEY: worth_of(one, prices).as_dict()}) for one in recommendations)


def money_words(one: Recommendation) -> str:
    """Return what a recommendation is worth as people read it; empty where it was given no money."""
    money = one.values.get(MONEY)
    if not isinstance(money, Mapping):
        return ""
    currency = str(money.get("currency", ""))
    words = [
        f"{'saves' if float(saving) >= 0 else 'costs'} {amount_words(abs(float(saving)), currency)} a month ({kind})"
        for kind in SAVING_KINDS
        if _is_number(saving := money.get(f"{kind}_saving_per_month"))
    ]
    words += [str(money["note"])] if money.get("note") else []
    if not words:
        return ""
    hours, cost = money.get("effort_hours"), money.get("effort_cost")
    effort = f"{quantity(hours, 'h')} of work" if _is_number(hours) else ""
    effort += f" for {amount_words(float(cost), currency)}" if effort and _is_number(cost) else ""
    payback = money.get("payback_months")
    paid = f"paid back after {quantity(payback, 'months', digits=2)}" if _is_number(payback) else ""
    return "; ".join(filter(None, (*words, effort, paid)))


def amount_words(money: float, currency: str) -> str:
    """Return an amount of money for people: two decimals, of less than one three significant digits."""
    shown = f"{money:,.2f}" if money >= 1 or money == 0 else quantity(money, "")
    return f"{shown} {currency}"


def _expected(added: Mapping[str, float], prices: Prices) -> tuple[float | None, str]:
    """Return the money saved in a month, and why there is none where a size changes."""
    if not added:
        return None, ""
    total = 0.0
    for key, amount in added.items():
        resource, _, name = key.partition(":")
        try:
            money = prices.per_month(resource, amount, name)
        except ValueError:
            return None, f"{visible(resource)} is no resource that has a price"
        if money is None:
            return None, f"prices.yml has no {resource}"
        total -= money
    return total, ""


def _measured(one: Recommendation, currency: str) -> float | None:
    """Return the measured saving of a month; None where there is none, or it is in another currency."""
    saved = one.values.get(MEASURED_SAVING)
    if not isinstance(saved, Mapping) or saved.get("currency") != currency:
        return None
    money = saved.get("per_month")
    return float(money) if _is_number(money) else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
