"""The demo with OpenTelemetry's instrumentation beside the demo with ours, under the same load and the same faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.grafana.boards import Panel, default_values, fill_in, list_panels, read_boards
from tests.otlp.conftest import Receiver, run_receiver
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="needs `pip install 'perfloop[otel-demo]'`")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("PERFLOOP_LONG_TESTS") != "1", reason="four minutes of load; PERFLOOP_LONG_TESTS=1 runs it"
    ),
]
OURS, OLDER, PRESENT, EXPONENTIAL = "shop-ours", "shop-older", "shop-present", "shop-exponential"
# What each process sets beside its name: nothing is what most Python applications send today.
CONVENTIONS = {
    OLDER: {},
    PRESENT: {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"},
    EXPONENTIAL: {
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    },
}
SERVICES = (OURS, *CONVENTIONS)
PER_SECOND = 6
REQUESTS = (
    ("POST", "/api/v1/search", {"query": "which cache answers", "limit": 5}),
    ("GET", "/api/v1/agents", None),
    ("POST", "/api/v1/process/text", {"content": "The text pipeline summarizes tickets. The cache is warm."}),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "A sentence."}], "max_tokens": 4}),
)
# The widest buckets of a default: of OpenTelemetry's, whose neighbours are a factor of 2.5 apart at most.
OTEL_BOUNDS = (0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
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


@dataclass
class Load:
    """The same requests to every service, each at its own moment of one schedule."""

    urls: dict[str, str]
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, service: str) -> None:
        """Send until it is stopped; how answers end is the servers' to count."""
        start = time.monotonic()
        with httpx.Client(base_url=self.urls[service], timeout=30) as client:
            for number in range(1_000_000):
                if self.stopped.wait(max(0.0, start + number / PER_SECOND - time.monotonic())):
                    return
                method, path, body = REQUESTS[number % len(REQUESTS)]
                client.request(method, path, json=body)


@dataclass(frozen=True)
class Shops:
    """The running services and their Prometheus."""

    prometheus: Receiver
    urls: dict[str, str]

    def value(self, expression: str, service: str) -> float:
        """Return the one value of a recorded series of a service; NaN where it has none."""
        found = self.prometheus.query(f'sum({expression}{{service="{service}"}})')
        return float(found[0]["value"][1]) if found else float("nan")


@contextmanager
def _demo(directory: Path, service: str, port: int, prometheus: str) -> Iterator[str]:
    variables = {}
    flags = [f"--web.listen-address=127.0.0.1:{port}", f"--data.dir={directory / service}"]
    if service != OURS:
        flags.append("--instrumentation=otel")
        variables = {
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=team,service.version=1.0",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus}/api/v1/otlp/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            **CONVENTIONS[service],
        }
    with (directory / f"{service}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "perfloop_demo.service", *flags], env=os.environ | variables, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, (directory / f"{service}.log").read_text()
        try:
            return httpx.get(f"{url}/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        wait_for(is_ready, service, 120)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def shops(current_prometheus: Path, tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Shops]:
    """Four services under the same load, for a minute and a half so far."""
    directory = tmp_path_factory.mktemp("shops")
    ports = dict(zip(SERVICES, find_free_ports(len(SERVICES)), strict=True))
    config: dict[str, Any] = yaml.safe_load((checkout / "prometheus" / "prometheus.yml").read_text())
    target = {"targets": [f"127.0.0.1:{ports[OURS]}"], "labels": {"service": OURS}}
    jobs = [{"job_name": "demo", "static_configs": [target]}]
    with ExitStack() as stack:
        prometheus = stack.enter_context(
            run_receiver(
                current_prometheus,
                directory,
                checkout / "prometheus",
                {"global": config["global"], "scrape_configs": jobs},
            )
        )
        urls = {
            service: stack.enter_context(_demo(directory, service, port, prometheus.url))
            for service, port in ports.items()
        }
        load = Load(urls)
        threads = [threading.Thread(target=load.run, args=(service,)) for service in SERVICES]
        for thread in threads:
            thread.start()
        try:
            time.sleep(90)
            yield Shops(prometheus, urls)
        finally:
            load.stopped.set()
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("service", CONVENTIONS)
def test_figures_are_those_of_our_instrumentation(shops: Shops, service: str) -> None:
    """Rates within a twentieth, no errors, percentiles in the same or a neighbouring bucket."""
    rate = "service:http_server_requests:rate1m"
    assert shops.value(rate, service) == pytest.approx(shops.value(rate, OURS), rel=0.05)
    assert shops.value("service:http_server_errors:ratio_rate1m", service) == 0
    for name in (
        "service:http_server_request_duration_seconds:p95_rate1m",
        "service:http_server_request_duration_seconds:p50_rate1m",
        'service_db:db_client_operation_duration_seconds:p95_rate1m{db_system_name="sqlite"}',
    ):
        metric, _, labels = name.partition("{")
        found = {
            one: float(
                shops.prometheus.query(f'{metric}{{service="{one}"{"," if labels else ""}{labels.rstrip("}")}}}')[0][
                    "value"
                ][1]
            )
            for one in (OURS, service)
        }
        buckets = {one: bisect_left(OTEL_BOUNDS, value) for one, value in found.items()}
        assert abs(buckets[OURS] - buckets[service]) <= 1, (name, found)


@pytest.mark.parametrize("service", CONVENTIONS)
def test_boards_show_what_they_show_of_ours(shops: Shops, checkout: Path, service: str) -> None:
    """Whatever a board finds of the service that we instrument it finds of the other, but what nobody sends."""
    boards = read_boards(checkout)
    missing = []
    for panel, expression in _service_queries(boards):
        ours, theirs = (_find(shops.prometheus, fill(expression, one)) for one in (OURS, service))
        if ours and not theirs and not any(part in expression for part in OURS_ALONE):
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
        httpx.put(f"{url}/faults", json={"slow_queries": 0.6, "errors": 0.3}).raise_for_status()
    yield shops
    for url in shops.urls.values():
        httpx.delete(f"{url}/faults")


@pytest.mark.parametrize("alert", ["ApiErrorsHigh", "DatabaseQueryTimeHigh", "ApiResponseTimeHigh"])
def test_the_same_alerts_fire(broken: Shops, alert: str) -> None:
    """Errors, slow statements and response times of every service fire as those of ours do."""
    for service in SERVICES:
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing",service="{service}"}}'
        wait_for(lambda expression=firing: broken.prometheus.query(expression), f"{alert} of {service}", 240)


def test_the_analyzer_finds_the_slow_queries(broken: Shops, checkout: Path) -> None:
    """The first cause of each service's incident is its database, whoever measured it."""
    prometheus = checkout / "prometheus"
    command = [
        *(sys.executable, "-m", "perfloop_analyzer", "once", "--json", "--store.url=sqlite://"),
        f"--prometheus.url={broken.prometheus.url}",
        f"--thresholds.file={prometheus / 'thresholds.yml'}",
        f"--slos.file={prometheus / 'slos.yml'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    analysis = json.loads(done.stdout)
    causes = {incident["causes"][0]["service"]: incident["causes"][0]["resource"] for incident in analysis["incidents"]}
    assert {service: causes.get(service) for service in SERVICES} == dict.fromkeys(SERVICES, "database")
