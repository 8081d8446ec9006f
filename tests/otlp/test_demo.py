"""The demo with OpenTelemetry's instrumentation beside the demo with ours, under the same load and the same faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.grafana.boards import Panel, default_values, fill_in, list_panels, read_boards
from tests.otlp.shops import CONVENTIONS, EXPONENTIAL, OTEL_BOUNDS, OURS, PERCENTILES, SERVICES, Shops, run_shops
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.otlp.receiver import Receiver

pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="needs `pip install 'perfloop[otel-demo]'`")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("PERFLOOP_LONG_TESTS") != "1", reason="six minutes of load; PERFLOOP_LONG_TESTS=1 runs it"
    ),
]
# What no instrumentation of OpenTelemetry sends: docs/opentelemetry.md has the list.
OURS_ALONE = (
    "time_to_first_byte",
    "response_chunk",
    "client_disconnects",
    "connection_max",
    "used_per_max",
    "wait_time",
    "body_bytes",
    "process_",
    "python_",
    "up{",
    "app_",
    "cache_operation",
    "active_websockets",
    "gen_ai_server_errors",
    "connection_timeouts",
)


@pytest.fixture(scope="module")
def shops(current_prometheus: Path, tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Shops]:
    """Four services under the same load, for two minutes so far."""
    with run_shops(current_prometheus, tmp_path_factory.mktemp("shops"), checkout) as running:
        yield running


@pytest.mark.parametrize("service", CONVENTIONS)
def test_figures_are_those_of_our_instrumentation(shops: Shops, service: str) -> None:
    """Every request is counted once, none is an error, percentiles are in the same or a neighbouring bucket."""
    sent = shops.load.sent[service]
    wait_for(lambda: shops.counted(service) >= sent, f"{sent} requests of {service}", 60)
    assert shops.counted(service) <= shops.load.sent[service] + 1
    assert shops.value("service:http_server_errors:ratio_rate1m", service) == 0
    for name in PERCENTILES:
        found = {one: shops.value(name, one) for one in (OURS, service)}
        buckets = {one: bisect_left(OTEL_BOUNDS, value) for one, value in found.items()}
        assert abs(buckets[OURS] - buckets[service]) <= 1, (name, found)


@pytest.mark.parametrize("service", CONVENTIONS)
def test_boards_show_both_alike(shops: Shops, checkout: Path, service: str) -> None:
    """Whatever a board finds of the service that we instrument it finds of the other, but what nobody sends."""
    boards = read_boards(checkout)
    missing = []
    for panel, expression in _service_queries(boards):
        ours, theirs = (_find(shops.prometheus, fill(expression, one)) for one in (OURS, service))
        # Tokens of an exponential histogram have no sum that a rule could count up.
        absent = (*OURS_ALONE, "token_usage", "tokens_per_call") if service == EXPONENTIAL else OURS_ALONE
        if ours and not theirs and not any(part in expression for part in absent):
            missing.append(f"{panel}: {expression}")
    assert missing == []


def _service_queries(boards: dict[str, dict[str, Any]]) -> Iterator[tuple[Panel, str]]:
    for panel in list_panels(boards):
        values = {name: value for name, value in default_values(boards[panel.board]).items() if name != "service"}
        for expression in panel.expressions:
            if "$service" in expression:
                yield panel, fill_in(expression, values)


def fill(expression: str, service: str) -> str:
    """Return an expression of a board with its service chosen."""
    return expression.replace("$service", service)


def _find(prometheus: Receiver, expression: str) -> list[dict[str, Any]]:
    return prometheus.query(expression)


@pytest.fixture(scope="module")
def broken(shops: Shops) -> Iterator[Shops]:
    """The same services, each with slow queries and errors."""
    for url in shops.urls.values():
        httpx.put(f"{url}/faults", json={"slow_queries": 1.5, "errors": 0.3}).raise_for_status()
    yield shops
    for url in shops.urls.values():
        httpx.delete(f"{url}/faults")


@pytest.mark.parametrize("alert", ["ApiErrorsHigh", "DatabaseQueryTimeHigh", "ApiResponseTimeHigh"])
def test_the_same_alerts_fire(broken: Shops, alert: str) -> None:
    """Errors, slow statements and response times of every service fire, whoever measures it."""
    for service in SERVICES:
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing",service="{service}"}}'
        wait_for(lambda expression=firing: broken.prometheus.query(expression), f"{alert} of {service}", 240)


def test_the_analyzer_finds_the_slow_queries(broken: Shops, checkout: Path) -> None:
    """The first cause of an incident of each service is its database, whoever measured it."""
    prometheus = checkout / "prometheus"
    command = [
        *(sys.executable, "-m", "perfloop_analyzer", "once", "--json", "--store.url=sqlite://"),
        f"--prometheus.url={broken.prometheus.url}",
        f"--thresholds.file={prometheus / 'thresholds.yml'}",
        f"--slos.file={prometheus / 'slos.yml'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    analysis = json.loads(done.stdout)
    causes = {(one["causes"][0]["service"], one["causes"][0]["component"]) for one in analysis["incidents"]}
    assert {(service, "database") for service in SERVICES} <= causes
