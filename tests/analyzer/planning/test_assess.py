"""The assessment of a service: goals, sentences, and what has no figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.config import AnalysisConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.planning.capacity import Capacity, assess
from perfloop_analyzer.planning.capacity.asked import HOUR, NOW
from perfloop_analyzer.planning.capacity.goals import check_goals
from perfloop_analyzer.planning.capacity.model import LIVE_TRAFFIC, LOAD_TEST
from perfloop_analyzer.planning.capacity.wording import rounded
from perfloop_analyzer.planning.figures import Bounds
from perfloop_analyzer.planning.situation import Situation
from perfloop_analyzer.series import Batch, Grid
from perfloop_base.scaling import ServiceScaling
from tests.analyzer.planning.systems import System, daily

AT = 1_790_000_000.0
CATALOG = load_knowledge(AnalysisConfig()).by_name()
GOALS = ServiceScaling()


def _capacity(bounds: Bounds, source: str = LOAD_TEST, reach: float = 1.0) -> Capacity:
    return Capacity(100.0, bounds, bounds, 1, "cpu", source, reach, None, "")


def _batch(name: str, values: np.ndarray, grid: Grid, **labels: str) -> Batch:
    return Batch(name, grid, ({"service": "shop", **labels},), values[None, :])


def _situation(**changes: np.ndarray) -> Situation:
    """An hour of a service with one core, of which every answer may be replaced; NaN is no value."""
    grid = NOW.grid(AT)
    rate = daily(20, 80, grid.points)
    system = System()
    values = {
        "rate": rate,
        "replicas": np.ones(grid.points),
        "p95": system.p95(rate),
        "mean": system.p95(rate) / 3,
        "errors": np.zeros(grid.points),
        "cpu": system.use(rate),
        "cpu_size": np.ones(grid.points),
    } | changes
    answers = {HOUR + name: _batch(HOUR + name, one, grid) for name, one in values.items()}
    return Situation(answers, CATALOG, AT)


def _tested(situation: Situation, **bounds: float) -> Situation:
    """The same with a load test that found these bounds half an hour ago."""
    grid = Grid(AT - 60, 60.0, 2)
    run = {"run_id": "r1", "test": "peak"}
    labels = tuple({**run, "bound": bound, "tested_service": "shop"} for bound in bounds)
    values = np.repeat(np.array(list(bounds.values()))[:, None], 2, axis=1)
    began = Batch("plan_tested_at", grid, (run,), np.full((1, 2), AT - 1800))
    found = {"plan_tested": Batch("plan_tested", grid, labels, values), "plan_tested_at": began}
    return Situation({**situation.answers, **found}, CATALOG, AT)


@pytest.mark.parametrize(
    ("capacity", "states"),
    [
        (None, ("not shown", "not shown")),
        (_capacity(Bounds(1100, 1200, 1300)), ("met", "met")),
        (_capacity(Bounds(400, 500, 600)), ("not met", "not met")),
        (_capacity(Bounds(900, 1000, 1100)), ("not shown", "not shown")),
        (_capacity(Bounds(1100, 1200, 1300), LIVE_TRAFFIC, 8.0), ("not shown", "not shown")),
        (_capacity(Bounds(1100, 1200, 1300), LIVE_TRAFFIC, 1.0), ("met", "met")),
        (_capacity(Bounds(500, 500, math.inf)), ("not shown", "not shown")),
        (_capacity(Bounds(1001, 1001, math.inf)), ("met", "met")),
    ],
)
def test_a_goal_is_met_not_met_or_not_shown(capacity: Capacity | None, states: tuple[str, str]):
    """Ten times 100 requests/s and 1,000: by the bounds, and never by what was not seen; each says why."""
    found = check_goals(capacity, 100.0, GOALS)
    assert tuple(goal.state for goal in found) == states
    assert [goal.target for goal in found] == [1000.0, 1000.0]
    assert all(goal.words for goal in found)


def test_without_load_there_is_no_multiple_of_it():
    """Ten times nothing is no goal: that of the rate remains."""
    for rate in (None, 0.0):
        assert [goal.name for goal in check_goals(None, rate, GOALS)] == ["1000 requests/s"]


def test_live_traffic_has_a_sentence_and_figures():
    """Rate, capacity, headroom, first limit, interval, and how far it is extrapolated."""
    found = assess("shop", _situation()).capacity
    assert found is not None
    truth = System().capacity(0.5)
    assert found.total.lower <= truth <= found.total.upper
    assert found.resource == "cpu"
    assert found.latency_at(1.0) == pytest.approx(float(System().p95(np.array([1.0]))[0]), rel=0.1)
    assert found.sentence.startswith("you run at 20 of 190 requests/s: 9.4 x headroom; CPU is the first limit (90% ")
    assert "extrapolated to 2.4 times the highest rate of the last day" in found.sentence
    names = [figure.name for figure in found.figures("shop")]
    assert names.count("capacity_requests_per_second") == names.count("replica_capacity_requests_per_second") == 3
    assert names.count("headroom_ratio") == names.count("capacity_limit_info") == 1


def test_a_load_test_outweighs_live_traffic():
    """Its bounds are the capacity, of as many replicas as run now; the first limit and the curve are live traffic's."""
    situation = _tested(_situation(), lower=280.0, expected=300.0, upper=330.0)
    found = assess("shop", situation).capacity
    assert found is not None
    assert (found.total.lower, found.total.expected, found.total.upper) == (280, 300, 330)
    assert (found.source, found.resource) == (LOAD_TEST, "cpu")
    # The curve is brought to the load test: near the capacity the response takes as long as it may.
    live = assess("shop", _situation()).capacity
    assert live is not None
    assert found.latency_at(150.0) == pytest.approx(live.latency_at(150.0 * live.total.expected / 300.0))


def test_a_load_test_of_fewer_replicas_counts_for_each():
    """Half an hour ago one replica ran, now three: three times what it found."""
    grid = NOW.grid(AT)
    replicas = np.where(grid.times() < AT - 900, 1.0, 3.0)
    found = assess("shop", _tested(_situation(replicas=replicas), lower=280.0, expected=300.0, upper=330.0)).capacity
    assert found is not None
    assert found.replicas == 3
    assert found.total.expected == pytest.approx(900)
    assert found.per_replica.expected == pytest.approx(300)


def test_a_load_test_that_broke_nothing_bounds_from_below():
    """No rate that was tried was too high: "or more", no upper bound anywhere, JSON without infinity."""
    found = assess("shop", _tested(_situation(), lower=280.0)).capacity
    assert found is not None
    assert "280 requests/s or more are carried" in found.sentence
    assert found.as_dict()["requests_per_second"] == {"lower": 280.0, "expected": 280.0, "upper": None}
    assert all(math.isfinite(figure.value) for figure in found.figures("shop"))


def test_no_replica_carries_nothing():
    """Of a service that is scaled to zero only what one replica carries is known, and no goal is judged."""
    gone = np.full(NOW.points, np.nan)
    now = _situation()
    rate, replicas = now.answers["plan_rate"].values[0].copy(), np.ones(NOW.points)
    rate[-5:] = replicas[-5:] = np.nan
    found = assess("shop", _situation(rate=rate, replicas=replicas))
    assert found.capacity is not None
    assert found.capacity.total.expected == 0
    assert found.capacity.per_replica.expected == pytest.approx(System().capacity(0.5), rel=0.1)
    assert found.capacity.headroom is None
    assert found.capacity.sentence.startswith("no replica serves requests now; one carries 190 requests/s")
    assert {goal.state for goal in found.goals} == {"not shown"}
    assert assess("shop", _situation(rate=gone)).capacity is None


@pytest.mark.parametrize("name", ["rate", "replicas", "p95", "mean", "errors", "cpu", "cpu_size"])
@pytest.mark.parametrize("value", [0.0, -5.0, np.inf, np.nan, 1e300])
def test_odd_answers_give_no_odd_figures(name: str, value: float):
    """Zero, negative, infinite, huge or missing: a figure that is finite and in order, or a sentence why not."""
    for values in (np.full(NOW.points, value), np.where(np.arange(NOW.points) % 7 == 0, value, 1.0)):
        found = assess("shop", _situation(**{name: values}))
        assert found.capacity is not None or found.notes
        if found.capacity is not None:
            bounds = found.capacity.total
            assert 0 <= bounds.lower <= bounds.expected <= bounds.upper < np.inf
            assert "nan" not in found.capacity.sentence
            assert "inf" not in found.capacity.sentence


def test_a_service_without_requests_says_so():
    """Neither a figure nor a goal that is judged."""
    found = assess("other", _situation())
    assert found.capacity is None
    assert found.notes == ("the capacity is not known: it serves no requests that are counted",)


@given(st.floats(1e-6, 1e12))
def test_rounded_numbers_have_two_digits(value: float):
    """Near the value, and with no digit that does not count."""
    shown = rounded(value)
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.051)
    assert len(shown.replace(",", "").replace(".", "").strip("0")) <= 2
