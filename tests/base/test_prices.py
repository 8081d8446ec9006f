"""prices.yml: what it becomes, what an amount costs, and the sentence for each mistake, with file and line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_base.prices import HOURS_A_MONTH, PER_MONTH, RESOURCES, Goal, Prices, parse_prices, read_prices

if TYPE_CHECKING:
    from pathlib import Path

AMOUNT = "an amount from 0 to 1,000,000,000, such as 0.05 or 0.05 EUR"
MISTAKES = {
    "no currency": ("prices: {core_hour: 1}", "p.yml:1: the file has no currency."),
    "a sign": (
        "currency: €\nprices: {core_hour: 1}",
        "p.yml:1: currency has the value '€'; it must be a code of ISO 4217 such as EUR or USD.",
    ),
    "a list of currencies": (
        "currency: [EUR, USD]\nprices: {core_hour: 1}",
        "p.yml:1: the file: currency has the value ['EUR', 'USD']; it must be a text.",
    ),
    "the currency twice": (
        "currency: EUR\ncurrency: USD\nprices: {core_hour: 1}",
        "p.yml:2: the key 'currency' is defined twice in one mapping.",
    ),
    "an amount in another currency": (
        "currency: EUR\nprices:\n  core_hour: 1 USD",
        "p.yml:3: prices: 'core_hour' has the value '1 USD', and the currency is EUR; a file has one currency.",
    ),
    "a budget in another currency": (
        "currency: EUR\nprices: {core_hour: 1}\nbudget_hour: 9 GBP",
        "p.yml:3: the file: 'budget_hour' has the value '9 GBP', and the currency is EUR; a file has one currency.",
    ),
    "nothing priced": ("currency: EUR", "p.yml:1: no price is given; without one nothing has a cost."),
    "an empty list of prices": (
        "currency: EUR\nprices: {}",
        "p.yml:2: no price is given; without one nothing has a cost.",
    ),
    "a price left out": (
        "currency: EUR\nprices:\n  core_hour:",
        "p.yml:3: prices: 'core_hour' has no amount; write one, or leave the line out.",
    ),
    "a negative price": (
        "currency: EUR\nprices: {core_hour: -1}",
        f"p.yml:2: prices: core_hour has the value -1; it must be {AMOUNT}.",
    ),
    "no number": (
        "currency: EUR\nprices: {core_hour: .nan}",
        f"p.yml:2: prices: core_hour has the value nan; it must be {AMOUNT}.",
    ),
    "an infinite price": (
        "currency: EUR\nprices: {core_hour: .inf}",
        f"p.yml:2: prices: core_hour has the value inf; it must be {AMOUNT}.",
    ),
    "a truth": (
        "currency: EUR\nprices: {core_hour: yes}",
        f"p.yml:2: prices: core_hour has the value True; it must be {AMOUNT}.",
    ),
    "a price beyond all": (
        "currency: EUR\nprices: {core_hour: 1.0e+12}",
        f"p.yml:2: prices: core_hour has the value 1000000000000.0; it must be {AMOUNT}.",
    ),
    "an unknown resource": (
        "currency: EUR\nprices: {cor_hour: 1}",
        "p.yml:2: prices: unknown field 'cor_hour'; did you mean 'core_hour'?",
    ),
    "an unknown key": (
        "currency: EUR\nprices: {core_hour: 1}\nbudget: 1",
        "p.yml:3: the file: unknown field 'budget'; did you mean 'budget_hour'?",
    ),
    "a GPU without a name": (
        "currency: EUR\ngpus: {'': 1}",
        "p.yml:2: gpus: a name is empty; gpus are named as their series name them.",
    ),
    "a price per service that is a list": (
        "currency: EUR\nreplicas: [1]",
        "p.yml:2: the file: replicas has the value [1]; it must be a mapping of names to values.",
    ),
    "a goal in percent": (
        "currency: EUR\nprices: {core_hour: 1}\ngoal: {reduction: 25}",
        "p.yml:3: goal: reduction has the value 25; it must lie between 0 and 1.",
    ),
    "a day that is none": (
        "currency: EUR\nprices: {core_hour: 1}\ngoal: {since: soon}",
        "p.yml:3: goal: since has the value 'soon'; it must be a date such as 2026-07-01 or 2026-07-01T12:00:00Z.",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(case: str):
    """No price is guessed: what is missing, wrong, or in two currencies is refused."""
    text, sentence = MISTAKES[case]
    with pytest.raises(ConfigError) as caught:
        parse_prices(text, "p.yml")
    assert caught.value.problems == (sentence,)


def test_all_problems_come_at_once():
    """Whoever corrects the file corrects it once."""
    text = "currency: €\nprices: {core_hour: -1, cor_hour: 2}\ngpus: {A100: x}\ngoal: {reduction: 0}"
    with pytest.raises(ConfigError) as caught:
        parse_prices(text, "p.yml")
    assert sorted(problem.split(":")[1] for problem in caught.value.problems) == ["1", "2", "2", "3", "4"]


def test_the_example_is_read(checkout: Path):
    """What the documentation points to is valid."""
    prices = read_prices(checkout / "examples" / "prices.yml")
    assert set(prices.amounts) == set(RESOURCES) - {"replica_hour"}
    assert (prices.currency, prices.goal) == ("EUR", Goal(0.25, None))


def test_names_have_their_own_price():
    """A GPU of a model and a replica of a service cost what is given for them, others the price for all."""
    text = "currency: USD\nprices: {gpu_hour: 2}\ngpus: {A100: 3 USD}\nreplicas: {api: 0.5}\ngoal: {since: 2026-07-01}"
    prices = parse_prices(text, "p.yml")
    assert prices.cost("gpu_hour", 2, "A100") == 6
    assert prices.cost("gpu_hour", 2, "T4") == 4
    assert prices.per_month("replica_hour", 2, "api") == HOURS_A_MONTH
    assert prices.cost("replica_hour", 2, "web") is None
    assert prices.goal.since == 1_782_864_000.0


def test_what_has_no_price_has_no_cost():
    """No number is better than one that only looks like one."""
    prices = Prices("EUR", {"core_hour": 0.0})
    assert prices.cost("core_hour", 5) == 0
    assert prices.cost("memory_gib_hour", 5) is None
    assert prices.cost("core_hour", math.nan) is None
    with pytest.raises(ValueError, match="'core_hours' is not a resource with a price; did you mean"):
        prices.cost("core_hours", 1)


CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)


@given(CODES, CODES, st.sampled_from(["prices: {core_hour: 1 %s}", "gpus: {A: 1 %s}", "replicas: {a: 1 %s}"]))
def test_a_file_has_one_currency(one: str, other: str, line: str):
    """An amount in the file's currency is taken, one in any other is refused, wherever it is."""
    text = f"currency: '{one}'\n{line % other}"
    if one == other:
        assert parse_prices(text, "p.yml").currency == one
        return
    with pytest.raises(ConfigError, match=f"and the currency is {one}; a file has one currency"):
        parse_prices(text, "p.yml")


@given(
    st.sampled_from(RESOURCES),
    st.floats(0, 1e9),
    st.lists(st.floats(-1e9, 1e9), max_size=8),
)
def test_costs_add_up(resource: str, price: float, amounts: list[float]):
    """The cost of a sum is the sum of the costs, and a month is 730 hours, whatever the price is for."""
    prices = Prices("EUR", {resource: price})
    parts = [prices.per_month(resource, amount) or 0.0 for amount in amounts]
    whole = prices.per_month(resource, sum(amounts)) or 0.0
    scale = max(map(abs, parts), default=0.0)
    assert sum(parts) == pytest.approx(whole, abs=1e-9 * scale + 1e-300, rel=1e-9)
    month = price if resource in PER_MONTH else price * HOURS_A_MONTH
    assert prices.per_month(resource, 1.0) == pytest.approx(month)
