"""Expected gains of every rule: in the unit of their metric, with bounds, and a sentence where there is no number."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.pipeline.history import History
from perfloop_analyzer.pipeline.inputs import Inputs
from perfloop_analyzer.recommend import gain_words, load_rules
from perfloop_analyzer.recommend.estimates import UnknownGainError
from perfloop_analyzer.recommend.improvement import estimate, expect
from perfloop_analyzer.recommend.recommendation import Improvement
from perfloop_analyzer.recommend.rules import Computation
from perfloop_analyzer.series import Batch, Grid
from tests.analyzer.conftest import make_finding
from tests.analyzer.recommend.test_engine import Numbers

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend import Rule

CATALOG = {signal.name: signal for signal in load_catalog()}
RULES = load_rules()
GRID = Grid(0.0, 15.0, 80)
ONSET = 600.0
LATENCY = Computation(method="latency_share", time="db_time_per_second", rate="db_query_rate")
POOL = Computation(method="pool_size", time="db_time_per_second")
# A consistent system of every signal that a formula reads, in the trouble of the finding.
NUMBERS = {
    "db_time_per_second": 2.0,
    "db_query_rate": 40.0,
    "vector_time_per_second": 2.0,
    "vector_search_rate": 40.0,
    "request_rate": 10.0,
    "api_latency_mean": 0.4,
    "cache_request_rate": 60.0,
    "db_pool_connections": 9.0,
    "db_pool_waiting": 1.0,
    "cpu_cores": 4.0,
    "memory_total_bytes": 2.0**33,
    "memory_used_ratio": 0.9,
    "memory_used_ratio_past": 0.9,
    "cpu_used_ratio_past": 0.8,
}


def _finding(rule: Rule, name: str, **changes: Any) -> Finding:
    """A finding about a signal of the catalogue that a rule answers."""
    signal = CATALOG[name]
    levels = (0.9, 0.4) if signal.direction == "above" else (0.3, 0.9)
    fields: dict[str, Any] = {
        "signal": name,
        "title": signal.title,
        "component": signal.component,
        "kind": signal.kind,
        "unit": signal.unit,
        "direction": signal.direction,
        "detector": rule.detectors[0] if rule.detectors else "threshold",
        "value": levels[0],
        "expected": levels[1],
        "limit": 0.6,
    }
    return make_finding(**(fields | changes))


def _window(**series: tuple[float, float]) -> Inputs:
    """A window whose signals step at ONSET, with a little noise; `pools` as name__pool."""
    rng = np.random.default_rng(1)
    batches: dict[str, Batch] = {}
    for key, (before, after) in series.items():
        name, _, pool = key.partition("__")
        values = np.where(GRID.times() < ONSET, before, after) * rng.normal(1, 0.01, GRID.points)
        labels = {"service": "shop"} | ({"pool": pool} if pool else {})
        known = batches.get(name)
        rows = (*known.labels, labels) if known else (labels,)
        batches[name] = Batch(name, GRID, rows, np.vstack([*(known.values if known else ()), values]))
    return Inputs(batches, CATALOG, History())


def _found(name: str, value: float, expected: float, **changes: Any) -> Finding:
    """A finding in such a window."""
    signal = CATALOG[name]
    fields: dict[str, Any] = {"signal": name, "title": signal.title, "component": signal.component, "unit": signal.unit}
    fields |= {"direction": signal.direction, "window": (GRID.start, GRID.end), "onset": ONSET}
    return make_finding(**(fields | {"value": value, "expected": expected, "limit": None} | changes))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_every_rule_promises_in_the_unit_of_its_metric(rule: Rule) -> None:
    """The metric is a signal, and what the formula starts from is the value that this signal has."""
    for name in rule.signals:
        finding = _finding(rule, name)
        measured = {**NUMBERS, "db_pool_used_ratio": 0.9, "cpu_used_ratio": 0.9}
        promise = estimate(rule.improvement, finding, Numbers(**measured))
        assert promise.metric in CATALOG
        value = finding.value if promise.metric == name else measured[promise.metric]
        gap = CATALOG[promise.metric].direction == "below"
        assert promise.now == pytest.approx(1 - value if gap else value)
        gained = promise.improvement()
        assert gained.metric == promise.metric
        assert gained.ratio == pytest.approx(1 - promise.then / promise.now)
        assert 0 <= gained.low <= gained.ratio <= gained.high <= 1


@settings(max_examples=200)
@given(rule=st.sampled_from(RULES), data=st.data())
def test_no_input_makes_a_number_of_nothing(rule: Rule, data: st.DataObject) -> None:
    """NaN, infinity, 0, less than 0 or nothing at all: a promise between 0 and 1, or a sentence."""
    odd = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300, 1e300, 0.5])
    changes = {name: data.draw(odd) for name in ("value", "expected", "limit")}
    numbers = {
        name: data.draw(odd) if data.draw(st.booleans()) else value
        for name, value in NUMBERS.items()
        if not name.endswith("_past") and data.draw(st.booleans())
    }
    for name in rule.signals:
        promise = expect(rule.improvement, _finding(rule, name, **changes), Numbers(**numbers))
        if isinstance(promise, str):
            assert promise.startswith("Not known: ")
        else:
            assert 0 <= promise.low <= promise.ratio <= promise.high <= 1
            assert "nan" not in promise.explanation


def _promised(how: Computation, finding: Finding, measured: Any) -> Improvement:
    promise = expect(how, finding, measured)
    assert isinstance(promise, Improvement), promise
    return promise


def test_queries_at_the_same_time_have_no_share_of_the_latency() -> None:
    """4 s of queries in requests of 0.4 s, ten a second: no request waits for all of them."""
    numbers = {"db_time_per_second": 8.0, "request_rate": 10.0, "api_latency_mean": 0.4}
    promise = expect(LATENCY, make_finding(value=0.5, expected=0.05), Numbers(**numbers))
    assert isinstance(promise, str)
    assert "run at the same time" in promise


def test_queries_that_may_overlap_save_a_part_of_their_share() -> None:
    """Eight queries a request: an eighth of the share is sure, all of it possible."""
    numbers = {"db_time_per_second": 2.0, "db_query_rate": 80.0, "request_rate": 10.0, "api_latency_mean": 0.4}
    promise = _promised(LATENCY, make_finding(value=0.5, expected=0.05, limit=0.1), Numbers(**numbers))
    assert promise.high == pytest.approx(0.5 * 0.9)
    assert promise.low == pytest.approx(0.5 * 0.8 / 8)


def test_queries_one_after_the_other_give_back_what_they_took() -> None:
    """The latency rose by what the queries did: 0.2 to 0.4 s."""
    measured = _window(
        db_time_per_second=(1.0, 3.0),
        db_query_rate=(40.0, 40.0),
        request_rate=(10.0, 10.0),
        api_latency_mean=(0.2, 0.4),
    )
    promise = _promised(LATENCY, _found("db_query_time_p95", 0.3, 0.1), measured)
    assert promise.low < 0.5 < promise.high
    assert promise.high - promise.low < 0.05
    assert promise.metric == "api_latency_mean"


def test_queries_that_overlap_in_part_give_back_what_the_latency_rose_by() -> None:
    """0.2 s more of queries, two at a time: the request waits 0.1 s longer, and that is all there is to gain."""
    measured = _window(
        db_time_per_second=(1.0, 3.0),
        db_query_rate=(40.0, 40.0),
        request_rate=(10.0, 10.0),
        api_latency_mean=(0.3, 0.4),
    )
    promise = _promised(LATENCY, _found("db_query_time_p95", 0.3, 0.1), measured)
    assert promise.low < 0.25 < promise.high < 0.3
    assert promise.explanation.endswith("they overlap")


def test_a_second_trouble_keeps_its_part_of_the_latency() -> None:
    """Of 0.3 s more, 0.1 s is the queries': between that and all of it comes back."""
    measured = _window(
        db_time_per_second=(1.0, 2.0),
        db_query_rate=(40.0, 40.0),
        request_rate=(10.0, 10.0),
        api_latency_mean=(0.2, 0.5),
    )
    promise = _promised(LATENCY, _found("db_query_time_p95", 0.2, 0.1), measured)
    assert promise.low == pytest.approx(0.2, abs=0.02)
    assert promise.ratio == pytest.approx(0.2, abs=0.01)


def test_a_pool_that_is_enlarged_is_used_by_as_much_less() -> None:
    """8 of 10 connections, the same of 14: the metric is the pool's use, not who waits."""
    promise = _promised(
        POOL,
        _found("db_pool_used_ratio", 0.8, 0.3),
        _window(db_pool_connections=(3.0, 8.0), db_pool_used_ratio=(0.3, 0.8), db_time_per_second=(3.0, 8.0)),
    )
    assert promise.metric == "db_pool_used_ratio"
    assert "at 10 1.6 callers wait on average, at 14 0.052" in promise.explanation
    assert promise.low < 1 - 10 / 14 < promise.high


def test_demand_that_a_full_pool_cuts_off_is_at_least_what_is_seen() -> None:
    """Ten of ten: at least seventeen, and nobody knows how full they get; those who wait say it, if measured."""
    full = {"db_pool_connections": 10.0, "db_time_per_second": 10.0}
    finding = make_finding(signal="db_pool_used_ratio", value=1.0, expected=0.3, limit=0.8)
    promise = _promised(POOL, finding, Numbers(**full))
    assert "at least 17" in promise.explanation
    assert promise.low == 0.0
    assert promise.high == pytest.approx(1 - 10 / 17)
    assert _promised(POOL, finding, Numbers(**full, db_pool_waiting=2.0)).low == pytest.approx(1 - 12 / 17)


def test_full_cores_cut_demand_off() -> None:
    """Four of four busy: at least six, and the gain begins at nothing."""
    finding = make_finding(signal="cpu_used_ratio", component="cpu", value=0.99, expected=0.3, limit=0.7)
    promise = _promised(Computation(method="replicas"), finding, Numbers(cpu_cores=4.0))
    assert "at least 6 cores" in promise.explanation
    assert promise.low == 0.0


def test_several_pools_share_no_time() -> None:
    """The time of all queries is not that of one pool: what it holds counts, of its own series alone."""
    measured = _window(
        db_pool_connections__a=(1.0, 8.0),
        db_pool_connections__b=(20.0, 20.0),
        db_pool_used_ratio__a=(0.1, 0.8),
        db_pool_used_ratio__b=(0.4, 0.4),
        db_time_per_second=(0.5, 0.5),
    )
    finding = _found("db_pool_used_ratio", 0.8, 0.1, labels={"service": "shop", "pool": "a"})
    promise = estimate(POOL, finding, measured)
    assert promise.size == 14
    assert promise.now == pytest.approx(0.8, rel=0.02)


def test_a_value_at_the_end_of_the_histogram_is_at_least_that() -> None:
    """The last bucket hides how slow it is: the gain is at least what it seems."""
    values = np.where(GRID.times() < ONSET, 0.5, 10.0) * np.where(
        GRID.times() < ONSET, np.random.default_rng(2).normal(1, 0.02, 80), 1.0
    )
    name = "model_inference_time_p95"
    measured = Inputs({name: Batch(name, GRID, ({"service": "shop"},), values[None, :])}, CATALOG, History())
    finding = _found(name, 10.0, 0.5, expr=CATALOG[name].query("1m"))
    promise = _promised(Computation(method="return_to_expected"), finding, measured)
    assert promise.at_least
    assert " at least -95%" in gain_words(promise)
    assert not _promised(Computation(method="return_to_expected"), replace(finding, expr="up"), measured).at_least


def test_a_return_has_the_bounds_of_what_is_measured() -> None:
    """Not those of the limit: the level before is known, within its noise."""
    finding = _found("db_query_time_p95", 0.42, 0.1, limit=0.3)
    promise = _promised(Computation(method="return_to_expected"), finding, _window(db_query_time_p95=(0.1, 0.4)))
    assert promise.low < 0.75 < promise.high
    assert promise.high - promise.low < 0.02


def _load_test(levels: list[float], throughput: list[float], latency: list[float]) -> Inputs:
    series = {"load_users": levels, "load_throughput": throughput, "api_latency_mean": latency}
    rng = np.random.default_rng(4)
    batches = {}
    for name, values in series.items():
        labels = {} if CATALOG[name].service else {"service": "shop"}
        drawn = np.repeat(values, 8) * (1 if name == "load_users" else rng.normal(1, 0.01, 8 * len(values)))
        batches[name] = Batch(name, GRID, (labels,), drawn[None, :])
    return Inputs(batches, CATALOG, History())


def test_fewer_users_are_as_fast_as_they_were() -> None:
    """Beyond the peak of the law: the mean response time at the peak, as the test has measured it."""
    users = np.array([1.0, 5, 10, 15, 20, 25, 30, 40, 50, 60])
    throughput = 10 * users / (1 + 0.02 * (users - 1) + users * (users - 1) / 400)
    measured = _load_test(list(users), list(throughput), list(users / throughput))
    finding = _found("api_response_time_p95", 3.0, 0.2, onset=1100.0)
    promise = _promised(Computation(method="scalability"), finding, measured)
    at_peak, now = 20 / throughput[4], 60 / throughput[-1]
    assert promise.metric == "api_latency_mean"
    assert promise.low < 1 - at_peak / now < promise.high
    assert "throughput peaks at 20" in promise.explanation


@pytest.mark.parametrize("slope", [0.0, 5.0])
def test_a_test_without_a_peak_promises_nothing(slope: float) -> None:
    """A plateau alone, or a rise alone."""
    users = np.linspace(50, 120, 10)
    throughput = (80.0 if not slope else 0.0) + slope * users
    measured = _load_test(list(users), list(throughput), list(users / throughput))
    finding = _found("api_response_time_p95", 3.0, 0.2, onset=1100.0)
    promise = expect(Computation(method="scalability"), finding, measured)
    assert isinstance(promise, str)
    assert "does not show where throughput peaks" in promise


def test_a_formula_without_its_inputs_says_which() -> None:
    """A metric that is not measured, and a signal without a level before."""
    how = Computation(method="return_to_expected", metric="error_ratio")
    with pytest.raises(UnknownGainError, match="does not show error ratio before"):
        estimate(how, make_finding(), Numbers())
    finding = make_finding(title="Query time", value=math.nan)
    said = expect(Computation(method="return_to_expected"), finding, Numbers())
    assert said == "Not known: Query time has no usable value now and before."


CACHE = Computation(
    method="cache_share", rate="cache_request_rate", operations="db_query_rate", metric="db_time_per_second"
)


@pytest.mark.parametrize("work", [1.0, 0.2], ids=["the same", "less than before"])
def test_misses_that_cost_nothing_promise_the_hits_themselves(work: float) -> None:
    """A cache in front of something that is not measured: no share of the database's time is promised."""
    window = _window(
        cache_hit_ratio=(0.96, 0.02),
        cache_request_rate=(60.0, 60.0),
        db_query_rate=(4.0, 4.0 * work),
        db_time_per_second=(0.4, 0.4 * work),
    )
    promise = estimate(CACHE, _found("cache_hit_ratio", 0.02, 0.96), window)
    gained = promise.improvement()
    assert (gained.metric, gained.method) == ("cache_hit_ratio", "return_to_expected")
    assert gained.ratio == pytest.approx(1 - 0.04 / 0.98, abs=0.02)
    assert "what a lookup costs behind the cache is no more than before" in gained.explanation


def test_misses_that_cost_queries_promise_their_time() -> None:
    """Each miss is a query of the database: its time falls with the misses."""
    window = _window(
        cache_hit_ratio=(0.9, 0.1),
        cache_request_rate=(60.0, 60.0),
        db_query_rate=(10.0, 58.0),
        db_time_per_second=(0.1, 0.58),
    )
    gained = estimate(CACHE, _found("cache_hit_ratio", 0.1, 0.9), window).improvement()
    assert gained.metric == "db_time_per_second"
    assert gained.ratio == pytest.approx(1 - 0.1 / 0.58, abs=0.03)
