"""Objectives over their window, goals over an hour, and alerts, in a real Prometheus whose past is written by hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from perfloop.check import advice, objectives
from perfloop.check.findings import Verdict
from perfloop_rules.slo_rules import FAST_SECONDS
from tests.support.history import serve_history, write_history
from tests.support.readiness import answering, looked, make_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfloop.check.findings import Finding

HOURS = 3
NOW = float(int(time.time() / 60) * 60)
# Service: requests per second, the share that fails, the share that is slow.
SERVICES = {"good": (10.0, 0.0, 0.01), "bad": (10.0, 0.002, 0.2), "quiet": (0.001, 0.0, 0.0)}
HISTOGRAM = "http_server_request_duration_seconds"


def constant(value: float) -> Callable[[float], float]:
    """Return a series that stays."""
    return lambda _: value


def growing(rate: float) -> Callable[[float], float]:
    """Return a counter that grows by so much a second."""
    return lambda moment: rate * (moment - NOW + HOURS * 3600)


def history() -> str:
    """Return what the rules would have recorded, and the requests themselves."""
    series: dict[str, Callable[[float], float | None]] = {}
    for service, (rate, failing, slow) in SERVICES.items():
        for slo, bad in (("availability", failing), ("latency", slow)):
            labels = f'{{service="{service}",slo="{slo}"}}'
            series[f"service_slo:slo_events:rate5m{labels}"] = constant(rate)
            series[f"service_slo:slo_errors:rate5m{labels}"] = constant(rate * bad)
        for code, share in (("200", 1 - failing), ("500", failing)):
            labels = f'{{service="{service}",http_route="/",http_response_status_code="{code}"}}'
            series[f"{HISTOGRAM}_count{labels}"] = growing(rate * share)
    alert = '{alertname="ApiErrorsHigh",alertstate="firing",severity="critical",service="bad"}'
    series[f"ALERTS{alert}"] = constant(1.0)
    series['up{service="good",instance="a:1"}'] = constant(1.0)
    return write_history(series, [NOW - at for at in range(HOURS * 3600, -1, -FAST_SECONDS)])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str, promtool: str) -> Iterator[str]:
    """The address of a Prometheus that has this past."""
    with serve_history(prometheus_binary, promtool, tmp_path_factory.mktemp("history"), history()) as client:
        yield str(client.base_url).rstrip("/")


def by_line(look: Callable[..., Iterator[Finding]], prometheus: str, directory: Path, **flags: str):
    """Return the lines of a check by what each is about."""
    found = list(look(make_sources(directory, {"prometheus": prometheus}, now=NOW, **flags)))
    return {one.of: one for one in found}


def test_each_objective_of_each_service(prometheus: str, tmp_path: Path):
    """Met, missed, and too few requests; what a service does not have, such as tokens, has no line."""
    found = by_line(objectives.look_at_objectives, prometheus, tmp_path)
    assert {of: one.verdict.value for of, one in found.items()} == {
        "good availability": "passed",
        "good latency": "passed",
        "bad availability": "failed",
        "bad latency": "failed",
        "quiet availability": "unknown",
        "quiet latency": "unknown",
    }
    assert found["good availability"].words.endswith("100% of 108150 over 3 h (goal: 99.9%)")
    assert found["bad availability"].words.endswith("99.8% of 108150 over 3 h (goal: 99.9%)")
    assert found["bad latency"].words.startswith("Requests answered within 500 ms: 80% of ")
    assert found["quiet latency"].words == "11 requests in 3 h are too few: 100 are needed"


def test_one_service(prometheus: str, tmp_path: Path):
    """With --service its lines alone."""
    assert set(by_line(objectives.look_at_objectives, prometheus, tmp_path, service="good")) == {
        "good availability",
        "good latency",
    }


def test_a_service_that_nobody_knows_is_unknown(prometheus: str, tmp_path: Path):
    """No request is no good share."""
    found = by_line(objectives.look_at_objectives, prometheus, tmp_path, service="gone")
    assert {one.verdict for one in found.values()} == {Verdict.UNKNOWN}
    assert found["gone availability"].words == "no request of gone was recorded within 30d"


def test_goals_of_the_hour(prometheus: str, tmp_path: Path):
    """Failed requests below 0.1 %; with a handful of requests nothing is known."""
    found = by_line(objectives.look_at_goals, prometheus, tmp_path)
    assert {of: one.verdict.value for of, one in found.items()} == {
        "good error_ratio": "passed",
        "bad error_ratio": "failed",
        "quiet error_ratio": "unknown",
    }
    assert found["bad error_ratio"].words == "Failed requests: 0.2% over 1h (goal: below 0.1%)"


def test_alerts_that_fire(prometheus: str, tmp_path: Path):
    """Each with its service; those of other services are not this one's."""
    urls = {"prometheus": prometheus}
    found = looked(objectives.look_at_firing, make_sources(tmp_path, urls, now=NOW))
    assert (found.verdict, found.words) == (Verdict.FAILED, "firing: ApiErrorsHigh of bad")
    other = looked(objectives.look_at_firing, make_sources(tmp_path, urls, now=NOW, service="good"))
    assert other.verdict is Verdict.PASSED


def test_an_empty_prometheus_is_unknown(tmp_path: Path):
    """No series is no alert that does not fire."""
    with answering({"/api/v1/query": {"data": {"result": []}}}) as empty:
        sources = make_sources(tmp_path, {"prometheus": empty.url})
        assert looked(objectives.look_at_firing, sources).verdict is Verdict.UNKNOWN
        nothing = looked(objectives.look_at_objectives, sources)
    assert (nothing.verdict, nothing.advice) == (Verdict.UNKNOWN, advice.ADD_TARGET)
