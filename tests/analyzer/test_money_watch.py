"""What is compared with, when Prometheus does not answer or knows nothing of then."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_analyzer.errors import SourceUnavailable
from perfloop_analyzer.money_watch import MoneyWatch
from perfloop_analyzer.planning.costs.bill import Bill, ServiceCost
from perfloop_analyzer.planning.costs.progress import Baseline
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.store import Database
from perfloop_base.prices import Goal, Prices

if TYPE_CHECKING:
    from collections.abc import Iterator

BILL = Bill("EUR", {"shop": ServiceCost("EUR", {"cpu": 8.0})})
SINCE = 10_000.0
PRICES = Prices("EUR", {"core_hour": 1.0}, goal=Goal(0.25, SINCE))
LATER = SINCE + 10 * 3600.0


class Answering:
    """A source that gives one answer to everything, and keeps what was asked."""

    def __init__(self, answer: Responses) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def query(self, queries: Any, grid: Any) -> Responses:
        """Return the answer."""
        del grid
        self.asked += [one.expr for one in queries]
        return self.answer

    async def scrape_interval(self) -> float | None:
        """Return nothing."""


@pytest.fixture
def store() -> Iterator[Database]:
    """An empty database."""
    with contextlib.closing(Database("sqlite://")) as database:
        yield database


def _progress(watch: MoneyWatch, at: float, bill: Bill = BILL, prices: Prices = PRICES) -> Any:
    return watch.progress(bill, prices, (), at)


async def test_a_prometheus_that_does_not_answer_is_no_baseline(store: Database):
    """Nothing is kept; once it answers, its answer counts."""
    source = Answering(Responses({}, {"cost": "HTTP 503"}))
    watch = MoneyWatch(source, store)
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        await watch.follow(BILL, PRICES, LATER)
    assert store.cost_baseline(SINCE, "EUR") is None
    assert "the cost to compare with is not known" in _progress(watch, LATER).note


async def test_what_was_never_priced_begins_now(store: Database, build: Any):
    """The first cost that is known is kept, and the note says of when it is; later answers change nothing."""
    source = Answering(Responses({}, {}))
    watch = MoneyWatch(source, store)
    await watch.follow(BILL, PRICES, LATER)
    found = _progress(watch, LATER)
    assert found.baseline == Baseline(SINCE, LATER, "EUR", 8.0)
    assert "it is compared with that of" in found.note
    source.answer = Responses({"cost": build.batch([[5.0, 5.0]], signal="cost")}, {})
    await watch.follow(BILL, PRICES, LATER + 60)
    assert _progress(watch, LATER).baseline == found.baseline


async def test_the_first_hour_is_not_kept_before_it_is_over(store: Database, build: Any):
    """Until then it may change; what was free is free."""
    source = Answering(Responses({"cost": build.batch([[0.0, 0.0]], signal="cost")}, {}))
    watch = MoneyWatch(source, store)
    await watch.follow(BILL, PRICES, SINCE + 600)
    assert _progress(watch, SINCE + 600).baseline == Baseline(SINCE, SINCE, "EUR", 0.0)
    assert _progress(watch, SINCE + 600).reductions() == {}
    assert store.cost_baseline(SINCE, "EUR") is None
    await watch.follow(BILL, PRICES, SINCE + 3600)
    assert store.cost_baseline(SINCE, "EUR") == Baseline(SINCE, SINCE, "EUR", 0.0)


async def test_another_currency_is_not_compared(store: Database):
    """A cost in euros says nothing of one in dollars."""
    watch = MoneyWatch(Answering(Responses({}, {})), store)
    await watch.follow(BILL, PRICES, LATER)
    dollars = replace(BILL, currency="USD")
    assert _progress(watch, LATER, dollars).baseline is None
    await watch.follow(dollars, replace(PRICES, currency="USD"), LATER + 60)
    assert _progress(watch, LATER, dollars).baseline == Baseline(SINCE, LATER + 60, "USD", 8.0)


async def test_a_day_to_come_is_waited_for(store: Database):
    """Nothing is asked, and the note says why."""
    source = Answering(Responses({}, {}))
    watch = MoneyWatch(source, store)
    await watch.follow(BILL, PRICES, SINCE - 1)
    assert source.asked == []
    assert "has not come yet" in _progress(watch, SINCE - 1).note
