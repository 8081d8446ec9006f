"""What services cost: who a machine is for, sums that add up, figures by unit, and why one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.planning.costs.allocation import UNALLOCATED, allocate, divide
from perfloop_analyzer.planning.costs.asked import COSTS
from perfloop_analyzer.planning.costs.bill import NO_AMOUNTS, NO_PRICES, bill_of, make_bill, price_replicas
from perfloop_analyzer.planning.costs.progress import Baseline, Progress, compared_note
from perfloop_analyzer.planning.situation import Situation
from perfloop_analyzer.reporters.planned import PLANNED
from perfloop_analyzer.series import Batch, Grid
from perfloop_base.prices import Prices
from perfloop_base.promql import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

GRID = Grid(0.0, 60.0, 2)
PRICES = Prices(
    "EUR",
    {
        "core_hour": 0.03,
        "memory_gib_hour": 0.004,
        "disk_gib_month": 0.073,
        "gpu_hour": 2.0,
        "moved_out_gb": 0.1,
        "million_tokens_in": 0.5,
        "million_tokens_out": 1.5,
    },
)
M1, M2 = {"host": "m1"}, {"host": "m2"}
Rows = list[tuple[dict[str, str], float]]
MACHINES: dict[str, Rows] = {
    "cost_machine_cores": [(M1, 8), (M2, 4)],
    "cost_machine_memory": [(M1, 32), (M2, 16)],
    "cost_machine_disk": [(M1, 100)],
    "cost_machine_sent": [(M1, 2.0)],
}
USED: dict[str, Rows] = {
    "cost_cores_used": [({"service": "shop", **M1}, 1.5), ({"service": "db", **M2}, 0.5)],
    "cost_memory_used": [({"service": "shop", **M1}, 2.0), ({"service": "db", **M2}, 4.0)],
    "cost_requests": [({"service": "shop"}, 20.0)],
}


def answers(*parts: Mapping[str, Rows]) -> dict[str, Batch]:
    """Return answers, of each name the rows of the last part that has it."""
    rows = {name: found for part in parts for name, found in part.items()}
    return {
        name: Batch(name, GRID, tuple(labels for labels, _ in found), np.array([[value] * 2 for _, value in found]))
        for name, found in rows.items()
    }


def bill(*parts: Mapping[str, Rows], prices: Prices = PRICES) -> Any:
    """Return the bill of these answers."""
    return make_bill(answers(*parts), prices)


def test_a_bill_by_hand():
    """Two machines, two services: what they use is theirs, the rest is nobody's, and all of it is paid."""
    found = bill(MACHINES, USED)
    shop, rest = found.services["shop"], found.services[UNALLOCATED]
    assert shop.per_hour == pytest.approx({"cpu": 0.045, "memory": 0.008})
    assert rest.per_hour == pytest.approx({"cpu": 0.3, "memory": 0.168, "disk": 0.01, "network": 0.2})
    assert found.total == pytest.approx(12 * 0.03 + 48 * 0.004 + 0.01 + 0.2)
    assert shop.thousand_requests == pytest.approx(0.053 / (20 * 3.6))
    assert shop.million_tokens is None


def test_what_is_reserved_counts_before_what_is_used():
    """A limit keeps its share from everybody else, used or not."""
    reserved: dict[str, Rows] = {"cost_cores_reserved": [({"service": "shop", **M1}, 3.0)]}
    found = bill(MACHINES, USED, reserved)
    assert found.services["shop"].per_hour["cpu"] == pytest.approx(0.09)
    assert found.total == pytest.approx(bill(MACHINES, USED).total)


def test_a_replica_that_is_paid_for_takes_no_cores():
    """Where replicas are what is paid, their cores and memory are not paid a second time, nor taken from the rest."""
    prices = Prices("EUR", PRICES.amounts, replicas={"shop": 0.2})
    found = bill(MACHINES, USED, {"cost_replicas": [({"service": "shop"}, 3), ({"service": "db"}, 1)]}, prices=prices)
    assert found.services["shop"].per_hour == pytest.approx({"replicas": 0.6})
    assert found.services[UNALLOCATED].per_hour["cpu"] == pytest.approx(11.5 * 0.03)


def test_a_replica_without_a_price_costs_what_it_has_reserved():
    """Three replicas with a core and two GiB each; what a service uses without a limit is no price of a replica."""
    reserved: dict[str, Rows] = {
        "cost_cores_reserved": [({"service": "shop", **M1}, 3.0)],
        "cost_memory_reserved": [({"service": "shop", **M1}, 6.0)],
        "cost_replicas": [({"service": "shop"}, 3), ({"service": "db"}, 1)],
    }
    found = bill(MACHINES, USED, reserved)
    assert found.replicas == pytest.approx({"shop": 0.03 + 2 * 0.004})
    assert price_replicas(PRICES, found).per_hour("replica_hour", -2, "shop") == pytest.approx(-0.076)
    own = Prices("EUR", PRICES.amounts, replicas={"shop": 1.0})
    assert price_replicas(own, found).price("replica_hour", "shop") == 1.0
    for_all = Prices("EUR", {"replica_hour": 0.5})
    assert price_replicas(for_all, found) == price_replicas(for_all, None) == for_all


def test_a_price_for_all_replicas_is_for_services_alone():
    """Prometheus and the exporters are replicas too, and nobody pays for them by replica."""
    prices = Prices("EUR", {"replica_hour": 0.2})
    found = bill(USED, {"cost_replicas": [({"service": "shop"}, 3), ({"service": "prometheus"}, 1)]}, prices=prices)
    assert {service: one.per_hour for service, one in found.services.items()} == {
        "shop": {"replicas": 0.6000000000000001}
    }


def test_gpus_belong_to_the_models_on_their_machine():
    """Their cost is divided among them; where none is, nobody has them."""
    gpus: dict[str, Rows] = {"cost_machine_gpus": [({**M1, "name": "A100"}, 4), ({**M2, "name": "T4"}, 1)]}
    served: dict[str, Rows] = {"cost_models_served": [({"service": "llm", **M1}, 3), ({"service": "embed", **M1}, 1)]}
    prices = Prices("EUR", {"gpu_hour": 1.0}, gpus={"A100": 3.0})
    found = bill(gpus, served, prices=prices)
    money = {service: one.per_hour["gpu"] for service, one in found.services.items()}
    assert money == pytest.approx({"llm": 9.0, "embed": 3.0, UNALLOCATED: 1.0})


def test_tokens_of_a_provider_and_by_the_million():
    """What is asked of a model elsewhere costs by token; what is served is divided by its tokens."""
    asked: dict[str, Rows] = {
        "cost_tokens_asked": [
            ({"service": "shop", "gen_ai_token_type": "input"}, 2.0),
            ({"service": "shop", "gen_ai_token_type": "output"}, 1.0),
        ]
    }
    found = bill(asked)
    assert found.services["shop"].per_hour == pytest.approx({"tokens": 2.5})
    assert found.services["shop"].million_tokens == pytest.approx(2.5 / 3)
    served: dict[str, Rows] = {"cost_tokens_served": [({"service": "shop"}, 1000.0)]}
    assert bill(USED, served).services["shop"].million_tokens == pytest.approx(0.053 / 3.6)


def test_failures_cost_their_share():
    """Every event costs the same: a day at 0.2% bad, of an objective that allows 0.1% of thirty days."""
    slo = {"service": "shop", "slo": "availability"}
    judged: dict[str, Rows] = {
        "cost_slo_errors": [(slo, 0.002)],
        "cost_slo_objectives": [(slo, 0.999)],
        "cost_slo_seconds": [(slo, 86_400)],
    }
    (budget,) = bill(USED, judged).services["shop"].budgets
    assert (budget.spent, budget.allowed) == pytest.approx((0.053 * 24 * 0.002, 0.053 * 720 * 0.001))


@pytest.mark.parametrize(
    ("parts", "service", "sentence"),
    [
        (
            (USED, {"cost_requests": [({"service": "shop"}, 0.05)]}),
            "shop",
            "shop had 15 requests in five minutes: too few for a cost of each.",
        ),
        (
            (USED, {"cost_requests": [({"service": "shop"}, 0.0)]}),
            "shop",
            "shop had 0 requests in five minutes: too few for a cost of each.",
        ),
        (
            ({"cost_machine_disk": [(M1, 100)], "cost_machine_cores": [(M1, 1)]},),
            "",
            "prices.yml has no disk_gib_month: 100 GiB of disk that no service has are in no cost.",
        ),
    ],
)
def test_a_figure_that_is_missing_says_why(parts: tuple[dict[str, Rows], ...], service: str, sentence: str):
    """Traffic that stops has no cost of a request, and what has no price is in no cost."""
    prices = Prices("EUR", {"core_hour": 0.03, "memory_gib_hour": 0.004})
    found = bill(*parts, prices=prices)
    assert sentence in found.notes[service]
    assert all(one.thousand_requests is None for one in found.services.values())


def test_a_price_for_a_service_that_nobody_sees_is_named():
    """A slip of the keyboard in a name is not a service that costs nothing."""
    found = bill(USED, prices=Prices("EUR", {"core_hour": 0.03}, replicas={"shpo": 1.0}))
    assert found.notes[""] == ("prices.yml has a price for a replica of shpo, and no service of that name is seen.",)


def test_without_prices_or_amounts_there_is_no_money():
    """Nothing is published, and one sentence says what to do."""
    assert bill_of(Situation(answers(MACHINES, USED), {}, 0.0)) == (None, (NO_PRICES,))
    assert bill_of(Situation({}, {}, 0.0, PRICES)) == (None, (NO_AMOUNTS,))


def test_what_is_published_is_declared():
    """Each figure has a name, help and labels of `reporters.planned`."""
    progress = Progress("EUR", 8.0, 0.25, Baseline(0.0, 0.0, "EUR", 10.0), {"expected": 730.0, "measured": 0.0})
    for figure in (*bill(MACHINES, USED).figures(), *progress.figures()):
        assert set(figure.labels) == set(PLANNED[figure.name][1])


def test_every_question_is_promql():
    """A name that is not closed would leave a whole resource without cost."""
    for name, expr in COSTS.queries.items():
        assert parse(expr), name


hosts = st.sampled_from(["a", "b", "c", ""])
sizes = st.floats(0, 1e6)


@given(
    st.dictionaries(hosts, sizes, max_size=4),
    st.dictionaries(st.tuples(st.sampled_from("xyz"), hosts), sizes, max_size=8),
)
def test_the_parts_of_machines_add_up(machines: dict[str, float], taken: dict[tuple[str, str], float]):
    """What a machine has is what is paid, however much is promised; nothing is negative."""
    found = allocate(machines, taken)
    assert all(amount >= 0 for amount in found.values())
    known = sum(size for host, size in machines.items() if any(place[1] == host for place in taken))
    alone = sum(size for host, size in machines.items()) - known
    away = sum(amount for place, amount in taken.items() if place[1] not in machines)
    assert sum(found.values()) == pytest.approx(known + max(alone, away), rel=1e-9, abs=1e-6)


@given(
    st.dictionaries(hosts, sizes, max_size=4),
    st.dictionaries(st.tuples(st.sampled_from("xyz"), hosts), sizes, max_size=8),
)
def test_what_is_divided_adds_up(machines: dict[str, float], weights: dict[tuple[str, str], float]):
    """No GPU is paid twice or forgotten."""
    assert sum(divide(machines, weights).values()) == pytest.approx(sum(machines.values()), rel=1e-9, abs=1e-6)


def test_where_the_goal_stands():
    """From 10 an hour to 8 is a fifth; 730 a month more to save is one an hour, a tenth."""
    baseline = Baseline(0.0, 0.0, "EUR", 10.0)
    progress = Progress("EUR", 8.0, 0.25, baseline, {"expected": 730.0, "measured": 1460.0})
    assert progress.reductions() == pytest.approx({"now": 0.2, "planned": 0.3, "measured": 0.2})
    assert Progress("EUR", 8.0, 0.25, None).reductions() == {}
    assert Progress("EUR", 8.0, 0.25, Baseline(0.0, 0.0, "EUR", 0.0)).reductions() == {}


@pytest.mark.parametrize(
    ("since", "baseline", "words"),
    [
        (None, None, "no recommendation was accepted yet"),
        (2e9, None, "has not come yet"),
        (0.0, None, "the cost to compare with is not known"),
        (0.0, Baseline(0.0, 1e6, "EUR", 1.0), "it is compared with that of 1970-01-12 13:46 UTC, the first known"),
    ],
)
def test_what_is_compared_is_said(since: float | None, baseline: Baseline | None, words: str):
    """A reduction without a start, or with another one than was asked for, says so."""
    assert words in compared_note(since, baseline, 1e9)


def test_a_baseline_that_is_right_needs_no_note():
    """What was asked for was found."""
    assert compared_note(0.0, Baseline(0.0, 0.0, "EUR", 1.0), 1e9) == ""
