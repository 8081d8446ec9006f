"""Capacity from outside: a real Prometheus with hours of services whose capacity is known, the loop, metrics, pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from perfloop_analyzer.config import AnalysisConfig, SourceConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.planning_watch import PlanningWatch
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.replay import Scratch
from perfloop_analyzer.reporters.html import Record, render_report
from perfloop_analyzer.reporters.planned import plan_families
from perfloop_analyzer.reporters.terminal import print_result
from tests.analyzer.planning.systems import System
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop_analyzer.ports import Result

END = 1_789_992_000.0
HOURS = 3
STEP = 15.0
TIMES = np.arange(END - HOURS * 3600, END + 1, STEP)
BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
POOL = System(servers=10, service=0.05, fixed=0.0)  # 10 connections of 50 ms: full at 200 requests/s
Series = Callable[[float], float | None]


def _rate(at: np.ndarray) -> np.ndarray:
    """Requests per second of both replicas: between 60 and 300, with a period of three hours."""
    return np.asarray(180 - 120 * np.cos(2 * np.pi * (at - END) / (HOURS * 3600)))


def _table(values: np.ndarray) -> Series:
    return dict(zip(TIMES.tolist(), values.tolist(), strict=True)).get


def _counter(per_second: np.ndarray) -> Series:
    return _table(np.cumsum(per_second) * STEP)


def _shop() -> dict[str, Series]:
    """A service of two replicas behind one balancer, with a pool in each; of exponential response times."""
    each = _rate(TIMES) / 2
    mean = POOL.p95(each) / np.log(20)
    found: dict[str, Series] = {}
    for instance in ("a:8000", "b:8000"):
        labels = f'service="shop",instance="{instance}"'
        route = f'{labels},http_route="/",http_response_status_code="200"'
        base = "http_server_request_duration_seconds"
        found[f"{base}_count{{{route}}}"] = _counter(each)
        found[f"{base}_sum{{{route}}}"] = _counter(each * mean)
        for bound in BOUNDS:
            found[f'{base}_bucket{{{route},le="{bound}"}}'] = _counter(each * (1 - np.exp(-bound / mean)))
        found[f'{base}_bucket{{{route},le="+Inf"}}'] = _counter(each)
        found[f"process_cpu_seconds_total{{{labels}}}"] = _counter(0.05 + each * 0.001)
        found[f"python_info{{{labels}}}"] = _table(np.ones(len(TIMES)))
        found[f'db_client_connection_count{{{labels},pool="main",state="used"}}'] = _table(POOL.use(each) * 10)
        found[f'db_client_connection_max{{{labels},pool="main"}}'] = _table(np.full(len(TIMES), 10.0))
        found[f'up{{{labels},job="shop"}}'] = _table(np.ones(len(TIMES)))
    return found


def _other() -> dict[str, Series]:
    """A service with one level of load, and one whose traffic stopped two hours ago; neither says what it carries."""
    base = "http_server_request_duration_seconds_count"
    steady = np.full(len(TIMES), 5.0)
    stopped = np.where(TIMES < END - 7200, 5.0, 0.0)
    return {
        f'{base}{{service="steady",instance="c:8000",http_route="/"}}': _counter(steady),
        f'{base}{{service="gone",instance="d:8000",http_route="/"}}': _counter(stopped),
    }


def _tested() -> dict[str, Series]:
    """Two load tests of `mail` that are over, the newer one with other figures, and the traffic of one replica."""
    found: dict[str, Series] = {
        'http_server_request_duration_seconds_count{service="mail",instance="e:8000",http_route="/"}': _counter(
            np.full(len(TIMES), 140.0)
        )
    }
    for run, began, bounds in (("r1", 9000, (300, 320, 350)), ("r2", 5000, (580, 620, 700))):
        labels = f'test="mail-test",run_id="{run}"'
        ran = np.abs(TIMES - (END - began + 300)) < 300
        for bound, value in zip(("lower", "expected", "upper"), bounds, strict=True):
            name = f'loadgen_run_capacity_rate{{{labels},tested_service="mail",bound="{bound}"}}'
            found[name] = _table(np.where(ran, float(value), np.nan))
        start = f'loadgen_run_start_timestamp_seconds{{{labels},run="{run}"}}'
        found[start] = _table(np.where(ran, END - began, np.nan))
    return {name: _without_nan(series) for name, series in found.items()}


def _without_nan(series: Series) -> Series:
    def value(at: float) -> float | None:
        found = series(at)
        return None if found is None or np.isnan(found) else found

    return value


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str, promtool: str) -> Iterator[str]:
    """The URL of a Prometheus with three hours of four services."""
    directory: Path = tmp_path_factory.mktemp("capacity")
    text = write_history({**_shop(), **_other(), **_tested()}, TIMES.tolist())
    with serve_history(prometheus_binary, promtool, directory, text) as client:
        yield str(client.base_url)


@pytest.fixture
async def result(past: str) -> Result:
    """One cycle at the end of the history."""
    config = AnalysisConfig(source=SourceConfig(url=past), step_seconds=STEP)
    async with PrometheusSource(config.source) as source:
        loop = Loop(config, source, Scratch(), load_knowledge(config))
        loop.ahead.planning = PlanningWatch()
        found = await loop.cycle(END)
    assert found is not None
    return found


def _figures(result: Result) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in plan_families(result.plan)
    }


async def test_the_pool_is_the_first_limit_of_a_service_of_two_replicas(result: Result) -> None:
    """The capacity of one replica and of both, the first limit and the headroom are those of the queue."""
    truth = POOL.capacity(0.5)
    figures = _figures(result)
    each, both = (
        figures["perfloop_replica_capacity_requests_per_second"],
        figures["perfloop_capacity_requests_per_second"],
    )
    assert each["shop", "expected"] == pytest.approx(truth, rel=0.08)
    assert each["shop", "lower"] <= truth <= each["shop", "upper"]
    assert both["shop", "expected"] == pytest.approx(2 * each["shop", "expected"])
    assert figures["perfloop_capacity_limit_info"]["shop", "database_pool"] == 1
    assert figures["perfloop_headroom_ratio"]["shop",] == pytest.approx(2 * truth / 60, rel=0.1)


async def test_a_load_test_says_what_is_carried(result: Result) -> None:
    """The newest test's figures are the capacity: 4.4 times the load now; the older test's are not."""
    both = _figures(result)["perfloop_capacity_requests_per_second"]
    assert [both["mail", bound] for bound in ("lower", "expected", "upper")] == [580, 620, 700]
    (plan,) = (one for one in result.plan.services if one.service == "mail")
    assert plan.capacity is not None
    assert plan.capacity.sentence.startswith("you run at 140 of 620 requests/s: 4.4 x headroom; ")
    assert "by the load test 'mail-test'" in plan.capacity.sentence
    states = {goal.name: goal.state for goal in plan.goals}
    assert states == {"10 x the load now": "not met", "1000 requests/s": "not met"}


async def test_what_is_not_known_has_no_figure_and_a_reason(result: Result) -> None:
    """One level of load, and traffic that stopped: no series, no number, one sentence each."""
    known = {labels[0] for labels in _figures(result)["perfloop_capacity_requests_per_second"]}
    assert known == {"shop", "mail"}
    listed: dict[str, Any] = {one["service"]: one for one in result.plan.as_dict()["services"]}
    for service in ("steady", "gone"):
        assert "capacity" not in listed[service]
        assert any(note.startswith("the capacity is not known: ") for note in listed[service]["notes"])
        assert all(goal["state"] == "not shown" for goal in listed[service]["goals"])


async def test_people_read_the_same(result: Result) -> None:
    """The report and the terminal have the sentence, and the goals with their states."""
    (plan,) = (one for one in result.plan.services if one.service == "shop")
    assert plan.capacity is not None
    page = render_report(result, {}, Record())
    console = Console(record=True, width=400)
    print_result(result, console)
    written = console.export_text()
    for text in (page, written):
        assert plan.capacity.sentence in text
        assert "not shown" in text or "not met" in text
    assert "database pool is the first limit" in page
