"""The demo four times under one load: with our instrumentation, and with OpenTelemetry's in three ways."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.otlp.receiver import Receiver, run_receiver
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
# The widest buckets of a default: of OpenTelemetry's, whose neighbours are a factor of 2.5 apart at most.
OTEL_BOUNDS = (0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
PERCENTILES = (
    "service:http_server_request_duration_seconds:p95_rate1m",
    "service:http_server_request_duration_seconds:p50_rate1m",
    'service_db:db_client_operation_duration_seconds:p95_rate1m{db_system_name="sqlite"}',
)
PER_SECOND = 6
WARM_UP_SECONDS = 130.0
REQUESTS = (
    ("POST", "/api/v1/search", {"query": "which cache answers", "limit": 5}),
    ("GET", "/api/v1/agents", None),
    ("POST", "/api/v1/process/text", {"content": "The text pipeline summarizes tickets. The cache is warm."}),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "A sentence."}], "max_tokens": 4}),
)


@dataclass
class Load:
    """The same requests to every service, each at its own moment of one schedule."""

    urls: dict[str, str]
    stopped: threading.Event = field(default_factory=threading.Event)
    sent: Counter[str] = field(default_factory=Counter)

    def run(self, service: str) -> None:
        """Send until it is stopped; how answers end is the servers' to count."""
        start = time.monotonic()
        with httpx.Client(base_url=self.urls[service], timeout=30) as client:
            for number in range(1_000_000):
                if self.stopped.wait(max(0.0, start + number / PER_SECOND - time.monotonic())):
                    return
                method, path, body = REQUESTS[number % len(REQUESTS)]
                client.request(method, path, json=body)
                self.sent[service] += 1


@dataclass(frozen=True)
class Shops:
    """The running services and their Prometheus."""

    prometheus: Receiver
    urls: dict[str, str]
    load: Load

    def counted(self, service: str) -> int:
        """Return how many of the load's requests the recorded counters of a service have."""
        series = f'http_server_request_duration_seconds_count{{service="{service}",http_route!~"/-/.*"}}'
        return round(float(self.prometheus.query(f"sum({series})")[0]["value"][1]))

    def value(self, series: str, service: str) -> float:
        """Return the mean of a recorded series of a service over the last minute; NaN where it has none.

        A sender's counters move every few seconds: of two rates at one moment one has a step more than the other.
        """
        name, _, labels = series.rstrip("}").partition("{")
        matchers = ",".join(part for part in (f'service="{service}"', labels) if part)
        found = self.prometheus.query(f"avg_over_time({name}{{{matchers}}}[1m])")
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


@contextmanager
def run_shops(binary: Path, directory: Path, checkout: Path, seconds: float = WARM_UP_SECONDS) -> Iterator[Shops]:
    """Run four services under the same load, which has lasted for some seconds when the block begins."""
    ports = dict(zip(SERVICES, find_free_ports(len(SERVICES)), strict=True))
    config: dict[str, Any] = yaml.safe_load((checkout / "prometheus" / "prometheus.yml").read_text())
    target = {"targets": [f"127.0.0.1:{ports[OURS]}"], "labels": {"service": OURS}}
    config = {"global": config["global"], "scrape_configs": [{"job_name": "demo", "static_configs": [target]}]}
    with ExitStack() as stack:
        prometheus = stack.enter_context(run_receiver(binary, directory, checkout / "prometheus", config))
        urls = {
            service: stack.enter_context(_demo(directory, service, port, prometheus.url))
            for service, port in ports.items()
        }
        load = Load(urls)
        threads = [threading.Thread(target=load.run, args=(service,)) for service in SERVICES]
        for thread in threads:
            thread.start()
        try:
            time.sleep(seconds)
            yield Shops(prometheus, urls, load)
        finally:
            load.stopped.set()
            for thread in threads:
                thread.join()
