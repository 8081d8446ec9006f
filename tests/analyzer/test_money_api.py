"""Money over the HTTP API and on the page: what a recommendation is worth, and the effort that a person gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from perfloop_analyzer.planning.costs.bill import Bill, BudgetCost, ServiceCost
from perfloop_analyzer.planning.costs.progress import Baseline, Progress
from perfloop_analyzer.planning.plan import Plan
from perfloop_analyzer.ports import Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.reporters.html import render_page
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.store import Database
from perfloop_base.prices import Prices

if TYPE_CHECKING:
    from collections.abc import Iterator

PRICES = Prices("EUR", {"core_hour": 0.03}, effort_hour=80.0)
PATH = "/api/v1/recommendations"
TOKEN = {"Authorization": "Bearer sesame"}


@pytest.fixture
def published() -> Published:
    """What an analyzer with prices publishes."""
    return Published(prices=PRICES)


@pytest.fixture
def api(published: Published) -> Iterator[TestClient]:
    """The API of an analyzer with one recommendation, to lower a limit by two cores."""
    database = Database("sqlite://")
    less = Recommendation(
        *("waste-shop-1", "waste_container_cpu", "shop", "cpu", "waste", "low", "Lower the limit", "do"),
        *("low", "none", ("container_cpu_limit_cores",), ({},)),
        values={"resize": {"resource": "core_hour", "amount": -2.0, "name": ""}},
    )
    database.merge([less], 100.0)
    web = build_web(published, database, WebSettings(token="sesame"), clock=lambda: 200.0)
    with TestClient(web) as client:
        yield client
    database.close()


def test_a_recommendation_has_its_money(api: TestClient, published: Published):
    """By the prices in use, and nothing without; nothing of it is stored."""
    (listed,) = (api.get(PATH)).json()
    assert listed["values"]["money"]["expected_saving_per_month"] == pytest.approx(43.8)
    assert (api.get(f"{PATH}/waste-shop-1")).json()["values"]["money"]["payback_months"] == pytest.approx(80 / 43.8)
    published.prices = None
    assert "money" not in (api.get(f"{PATH}/waste-shop-1")).json()["values"]


def test_whoever_accepts_says_how_much_work_it_is(api: TestClient):
    """It replaces the default of the category, and stays."""
    accepted = api.post(f"{PATH}/waste-shop-1/accept", json={"effort_hours": 3}, headers=TOKEN)
    assert accepted.json()["values"]["money"]["effort_cost"] == 240.0
    implemented = api.post(f"{PATH}/waste-shop-1/implement", headers=TOKEN)
    assert implemented.json()["values"]["money"]["effort_hours"] == 3.0


@pytest.mark.parametrize("body", [{"effort_hours": -1}, {"effort_hours": 1e9}, {"effort_hours": "long"}, {"hours": 1}])
def test_an_effort_that_is_none_is_refused(api: TestClient, body: dict[str, Any]):
    """Nothing is changed."""
    assert (api.post(f"{PATH}/waste-shop-1/accept", json=body, headers=TOKEN)).status_code == 422
    assert (api.get(f"{PATH}/waste-shop-1")).json()["state"] == "open"


def test_only_what_is_done_takes_work(api: TestClient):
    """To dismiss takes none."""
    refused = api.post(f"{PATH}/waste-shop-1/dismiss", json={"effort_hours": 1}, headers=TOKEN)
    assert refused.status_code == 422
    assert refused.json()["detail"] == "effort_hours is given with accept or implement, not with dismiss"


def test_the_page_has_costs_and_the_goal(published: Published):
    """What everything costs, by service, and what was saved since when."""
    shop = ServiceCost("EUR", {"cpu": 0.045, "memory": 0.008}, 0.00074, None, (BudgetCost("availability", 2.5, 38.0),))
    bill = Bill("EUR", {"shop": shop, "unallocated": ServiceCost("EUR", {"cpu": 2.0})}, budget=10.0)
    progress = Progress("EUR", bill.total, 0.25, Baseline(0.0, 0.0, "EUR", 2.0), {"expected": 730.0, "measured": 0.0})
    published.publish(Result(1.0, plan=Plan(1.0, bill=bill, progress=progress, notes=("prices.yml has no gpu_hour.",))))
    page = render_page(published, 2.0)
    for words in (
        "Everything costs <b>2.05 EUR</b> an hour, 1,498.69 EUR in a month",
        "the budget is 10.00 EUR an hour",
        "Goal: 25% less than the 2.00 EUR of 1970-01-01 00:00:00 UTC. Now 3% more; 47% less with everything",
        "cpu 0.045 EUR, memory 0.008 EUR",
        "0.00074 EUR",
        "availability 2.50 EUR of 38.00 EUR",
        "prices.yml has no gpu_hour.",
    ):
        assert words in page, words
