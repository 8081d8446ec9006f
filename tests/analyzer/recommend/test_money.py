"""What a recommendation is worth: savings by the prices in use, effort, return, and words."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_analyzer.recommend import Improvement, Recommendation, money_words, with_money
from perfloop_analyzer.recommend.money import EFFORT_HOURS, effort_hours, worth_of
from perfloop_analyzer.recommend.recommendation import from_dict
from perfloop_analyzer.recommend.rules import Rule, load_rules
from perfloop_base.prices import HOURS_A_MONTH, Prices

PRICES = Prices("EUR", {"core_hour": 0.03, "gpu_hour": 2.0}, gpus={"A100": 3.0}, effort_hour=80.0)


def make(values: dict[str, Any] | None = None, **changes: Any) -> Recommendation:
    """A recommendation about CPU, any field changed."""
    fields: dict[str, Any] = {
        "id": "smaller-shop-1",
        "rule": "smaller",
        "service": "shop",
        "component": "cpu",
        "category": "infrastructure",
        "priority": "low",
        "title": "Use fewer cores",
        "action": "do",
        "effort": "low",
        "cost": "none",
        "affects": ("cpu_cores",),
        "evidence": ({},),
        "values": values or {},
    }
    return Recommendation(**(fields | changes))


def resize(amount: float, resource: str = "core_hour", name: str = "") -> dict[str, Any]:
    """The values of a change of size."""
    return {"resize": {"resource": resource, "amount": amount, "name": name}}


def test_fewer_cores_save_and_are_paid_back():
    """Two cores at 0.03 an hour, against two hours of work at 80."""
    worth = worth_of(make(resize(-2.0)), PRICES)
    assert worth.expected == pytest.approx(2 * 0.03 * HOURS_A_MONTH)
    assert (worth.effort_hours, worth.effort_cost) == (2.0, 160.0)
    assert worth.monthly_return == pytest.approx(43.8 / 160)
    assert worth.payback_months == pytest.approx(160 / 43.8)


def test_what_grows_costs():
    """A negative saving is a cost, and has no return."""
    growth = Improvement(0.5, 0.4, 0.6, "cpu_used_ratio", "replicas", "", added={"core_hour": 4.0})
    worth = worth_of(make(improvement=growth), PRICES)
    assert worth.expected == pytest.approx(-4 * 0.03 * HOURS_A_MONTH)
    assert worth.monthly_return is None
    assert "costs 87.60 EUR a month (expected)" in money_words(*with_money([make(improvement=growth)], PRICES))


def test_a_gpu_has_the_price_of_its_model():
    """As prices.yml has it, by the model's name."""
    assert worth_of(make(resize(-1.0, "gpu_hour", "A100")), PRICES).expected == pytest.approx(3 * HOURS_A_MONTH)
    assert worth_of(make(resize(-1.0, "gpu_hour", "T4")), PRICES).expected == pytest.approx(2 * HOURS_A_MONTH)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (resize(-2.0, "memory_gib_hour"), "prices.yml has no memory_gib_hour"),
        (resize(-2.0, "cores"), "cores is no resource that has a price"),
        (resize(float("nan")), ""),
        ({"resize": {"resource": "core_hour", "amount": "many"}}, ""),
        ({"resize": "much"}, ""),
        ({}, ""),
    ],
)
def test_without_a_price_or_an_amount_there_is_no_money(values: dict[str, Any], note: str):
    """Damaged or foreign values are no number."""
    worth = worth_of(make(values), PRICES)
    assert (worth.expected, worth.note) == (None, note)


def test_what_was_measured_counts():
    """In the currency in which it was measured, and in no other."""
    saved = {"saved": {"currency": "EUR", "per_month": 10.0}}
    assert worth_of(make(resize(-2.0) | saved), PRICES).saving == 10.0
    dollars = {"saved": {"currency": "USD", "per_month": 10.0}}
    assert worth_of(make(resize(-2.0) | dollars), PRICES).measured is None


def test_a_size_is_measured_itself():
    """Of two cores that were to be freed one and a half are free: three quarters of the saving."""
    less = Improvement(0.5, 0.4, 0.6, "container_cpu_limit_cores", "waste", "")
    measured = {"measured": {"gain": 0.375, "low": 0.375, "high": 0.375, "metric": "container_cpu_limit_cores"}}
    worth = worth_of(make(resize(-2.0) | measured, improvement=less), PRICES)
    assert worth.measured == pytest.approx(1.5 * 0.03 * HOURS_A_MONTH)
    other = {"measured": measured["measured"] | {"metric": "api_response_time_p95"}}
    assert worth_of(make(resize(-2.0) | other, improvement=less), PRICES).measured is None


def test_effort_is_by_category_unless_it_was_given():
    """Whoever accepts it knows better."""
    assert effort_hours(make(effort="medium")) == EFFORT_HOURS["infrastructure"]
    assert effort_hours(make(effort="none")) == 0.0
    assert effort_hours(make({"effort_hours": 7.5})) == 7.5
    assert effort_hours(make({"effort_hours": "long"})) == EFFORT_HOURS["infrastructure"] / 2
    assert worth_of(make(resize(-2.0), effort="none"), PRICES).payback_months is None


def test_every_category_has_its_hours():
    """A rule of a category without hours would be planned with a guess."""
    assert {rule.category for rule in load_rules()} <= set(EFFORT_HOURS)
    assert Rule.model_fields["effort"] is not None


def test_without_prices_nothing_is_said_of_money():
    """No price ships as if it were true."""
    assert with_money([make(resize(-2.0))], None) == (make(resize(-2.0)),)
    assert money_words(make(resize(-2.0))) == ""


def test_words_have_saving_effort_and_return():
    """One line for the page, the terminal and the report."""
    (priced,) = with_money([make(resize(-2.0))], PRICES)
    assert money_words(priced) == (
        "saves 43.80 EUR a month (expected); 2 h of work for 160.00 EUR; paid back after 3.7 months"
    )


def test_an_amount_survives_the_database():
    """An improvement is stored with what it adds; an earlier version's has nothing of it."""
    growth = Improvement(0.5, 0.4, 0.6, "cpu_used_ratio", "replicas", "", added={"core_hour": 4.0})
    stored = make(improvement=growth).as_dict()
    assert from_dict(stored).added == {"core_hour": 4.0}
    del stored["improvement"]["added"]
    assert from_dict(stored).added == {}
