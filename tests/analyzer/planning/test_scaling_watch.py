"""Scaling of services from Prometheus's answers: the load ahead, what a replica carries, and why there is no number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from perfloop_analyzer.planning.capacity import Capacity
from perfloop_analyzer.planning.figures import Bounds
from perfloop_analyzer.planning.scaling.asked import LOAD, POINTS, STEP_SECONDS
from perfloop_analyzer.planning.scaling.replicas import Replicas
from perfloop_analyzer.planning.scaling.watch import ScalingWatch, fleet_of
from perfloop_analyzer.planning.situation import Situation
from perfloop_analyzer.planning_watch import PlanningWatch, plan_service
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.series import Batch, Floats, Grid
from perfloop_base.scaling import Scaling, ServiceScaling

if TYPE_CHECKING:
    from perfloop_analyzer.planning.plan import ServicePlan

AT = 1_000_000.0


class _Curve:
    """Responses that take for ever from 100 requests per second on."""

    def latency(self, rate: float) -> float:
        return 0.1 / (1 - rate / 100.0) if rate < 100.0 else math.inf


def _capacity(reach: float = 1.0, curve: _Curve | None = None) -> Capacity:
    per_replica = Bounds(40.0, 50.0, 60.0)
    return Capacity(
        rate=100.0,
        per_replica=per_replica,
        total=per_replica.times(2),
        replicas=2,
        resource="cpu",
        source="load test",
        reach=reach,
        curve=curve,
        sentence="",
    )


def _batch(name: str, values: Floats, service: str = "shop", end: float = AT) -> Batch:
    grid = Grid(end - STEP_SECONDS * (len(values) - 1), STEP_SECONDS, len(values))
    return Batch(name, grid, ({"service": service},), values[None, :])


def _situation(at: float = AT, scaling: Scaling | None = None, **answers: Floats | float) -> Situation:
    batches = {
        name: _batch(name, np.atleast_1d(np.asarray(values, dtype=np.float64)), end=at)
        for name, values in answers.items()
    }
    return Situation(batches, {}, at, scaling=scaling or Scaling())


STEADY = np.full(POINTS, 180.0)


def test_the_load_ahead_over_what_a_replica_carries() -> None:
    """180 requests per second at 50 each are four replicas, and the answer explains itself."""
    found = ScalingWatch().replicas("shop", _situation(scale_requests=STEADY, scale_replicas=2.0), _capacity())
    assert isinstance(found, Replicas)
    assert found.desired == 4
    assert found.words == (
        "4 replicas, for the load of the next minutes: up to 180 requests/s within 90 s, and one of 2 carries 50"
    )
    assert found.as_dict()["needed"] == {"load": 4}
    published = {(figure.name, *figure.labels.values()): figure.value for figure in found.figures("shop")}
    assert published == {
        ("desired_replicas", "shop"): 4,
        ("needed_replicas", "shop", "load"): 4,
        ("replicas_limit", "shop", "min"): 1,
        ("replicas_limit", "shop", "max"): 10,
        ("load_ahead", "shop", "requests"): pytest.approx(180.0),
    }


def test_a_capacity_beyond_all_that_was_seen_counts_with_its_lower_bound() -> None:
    """An extrapolated figure is not trusted to its middle."""
    assert fleet_of(_capacity(reach=1.0)).within == 50.0
    assert fleet_of(_capacity(reach=1.5)).within == 40.0


def test_the_curve_says_when_a_replica_is_full() -> None:
    """Where responses take for ever; unknown where the curve ends before or never does."""
    assert fleet_of(_capacity(curve=_Curve())).full == pytest.approx(100.0, rel=1e-3)
    assert fleet_of(_capacity()).full is None


def test_a_model_server_by_the_tokens_of_full_servers_and_its_line() -> None:
    """Ten requests a second of 500 tokens, at 2000 tokens per second of a full server, and 300 in line."""
    found = ScalingWatch().replicas(
        "shop",
        _situation(
            scale_arrivals=np.full(POINTS, 10.0),
            scale_request_tokens=500.0,
            scale_full_tokens=2000.0,
            scale_waiting=600.0,
            scale_running=20.0,
            scale_cache=0.5,
            scale_replicas=2.0,
        ),
        None,
    )
    assert isinstance(found, Replicas)
    needed = found.as_dict()["needed"]
    assert needed["cache"] == 2
    assert needed["load"] >= 4
    assert needed["queue"] > needed["load"]
    assert found.unit == "tokens"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"scale_replicas": 2.0}, "its load is not known now, or since less than two minutes"),
        ({"scale_requests": np.full(POINTS, math.nan)}, "its load is not known now, or since less than two minutes"),
        ({"scale_requests": STEADY}, "it is not known what one replica carries, and nothing else says how many"),
    ],
    ids=["no load", "a load without values", "no capacity"],
)
def test_without_data_there_is_a_sentence_and_no_number(answers: dict[str, Floats | float], reason: str) -> None:
    """No series rather than a guess."""
    found = ScalingWatch().replicas("shop", _situation(**answers), None)
    assert isinstance(found, str)
    assert found.startswith(f"no number of replicas: {reason}")


def test_a_load_that_ended_is_held_then_forgotten() -> None:
    """The service stays planned for while its answer stands, though no series names it."""
    watch = ScalingWatch()
    assert isinstance(watch.replicas("shop", _situation(scale_requests=STEADY), _capacity()), Replicas)
    seen = []
    for later in range(30, 390, 30):
        situation = _situation(at=AT + later)
        assert ("shop" in watch.services(situation)) == (later <= 330)
        found = watch.replicas("shop", situation, None)
        seen.append(found.desired if isinstance(found, Replicas) else None)
    assert seen == [4] * 10 + [None] * 2


def test_an_old_answer_of_prometheus_is_no_load_of_now() -> None:
    """Its newest point is long ago."""
    situation = Situation({"scale_requests": _batch("scale_requests", STEADY, end=AT - 400.0)}, {}, AT)
    assert isinstance(ScalingWatch().replicas("shop", situation, _capacity()), str)


def test_each_service_has_its_own_bounds() -> None:
    """The most of scaling.yml, with what is needed beside it."""
    scaling = Scaling(services={"shop": ServiceScaling(max_replicas=3)})
    found = ScalingWatch().replicas("shop", _situation(scaling=scaling, scale_requests=STEADY), _capacity())
    assert isinstance(found, Replicas)
    assert (found.desired, found.decision.reason) == (3, "max")
    assert found.as_dict()["needed"] == {"load": 4}


def test_what_is_asked_once_a_minute_is_computed_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of replicas is new four times as often as capacity, forecast and cost."""
    computed: list[str] = []

    def counted(service: str, *rest: object) -> ServicePlan:
        computed.append(service)
        return plan_service(service, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("perfloop_analyzer.planning_watch.plan_service", counted)
    watch = PlanningWatch()
    for later in range(0, 61, 15):
        at = AT + later
        for ask in watch.due(at):
            grid = ask.grid(at)
            values = np.full((1, grid.points), 40.0)
            batches = {"scale_requests": Batch("scale_requests", grid, ({"service": "shop"},), values)}
            watch.note(ask, Responses(batches if ask is LOAD else {}, {}), at)
        assert watch.plan({}, at).of("shop") is not None
    assert computed == ["shop"] * 2
