"""What the analyzer's tests share: a real Prometheus, a service with a switch, databases, and small builders."""

from __future__ import annotations

import http.server
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from perfloop_analyzer.catalog import Limit, Signal
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.series import Batch, Grid
from tests.analyzer.postgresql import run_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Build:
    """Small builders of the values that flow through the analyzer."""

    @staticmethod
    def signal(**changes: object) -> Signal:
        """A signal with limits, any field changed."""
        return make_signal(**changes)

    @staticmethod
    def batch(values: object, signal: str = "db_query_time_p95", step: float = 5.0, **labels: str) -> Batch:
        """A batch of the given rows."""
        return make_batch(values, signal, step, **labels)

    @staticmethod
    def threshold(**changes: object) -> str:
        """An entry of thresholds.yml, any field changed."""
        return make_threshold(**changes)

    @staticmethod
    def thresholds(*entries: str, rest: str = "") -> str:
        """A whole thresholds.yml."""
        return make_thresholds(*entries, rest=rest)

    @staticmethod
    def finding(**changes: object) -> Finding:
        """A finding, any field changed."""
        return make_finding(**changes)


@dataclass
class Service:
    """A service whose metrics a test writes by hand."""

    port: int = 0
    text: str = "up_marker 1\n"
    hits: list[str] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        service: Service = self.server.service  # type: ignore[attr-defined]
        service.hits.append(self.path)
        body = service.text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    """A scrape target."""
    target = Service()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.service = target  # type: ignore[attr-defined]
    target.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield target
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def prometheus(prometheus_binary: str, service: Service, free_port: int, tmp_path: Path) -> Iterator[str]:
    """A real Prometheus that scrapes the service every second."""
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: shop\n  static_configs:\n"
        f"  - {{targets: ['127.0.0.1:{service.port}'], labels: {{service: shop}}}}\n"
    )
    url = f"http://127.0.0.1:{free_port}"
    process = subprocess.Popen(
        [
            prometheus_binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{free_port}",
            "--log.level=error",
        ],
    )
    try:
        wait_for(f"{url}/-/ready")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def wait_for(url: str, seconds: float = 20.0) -> str:
    """Return the first successful response of a URL."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.read().decode()
        except (OSError, urllib.error.URLError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A real PostgreSQL on a socket of its own, where it is installed."""
    with run_postgresql() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The analyzer's database, of both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers of the test's own: the same ones in every order of tests."""
    return np.random.default_rng(7)


@pytest.fixture
def build() -> type[Build]:
    """The small builders."""
    return Build


def make_signal(**changes: object) -> Signal:
    """A signal with limits, any field changed."""
    fields: dict[str, object] = {
        "name": "db_query_time_p95",
        "expr": "x",
        "component": "database",
        "kind": "red",
        "unit": "seconds",
        "limit": Limit(warning=0.1, critical=0.2),
        "min_deviation": 0.01,
    }
    return Signal(**(fields | changes))  # type: ignore[arg-type]


def make_batch(values: object, signal: str = "db_query_time_p95", step: float = 5.0, **labels: str) -> Batch:
    """A batch of the given rows; every row gets the labels and its number."""
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    names = tuple({"service": "shop", **labels} | ({"row": str(i)} if len(rows) > 1 else {}) for i in range(len(rows)))
    return Batch(signal, Grid(1000.0, step, rows.shape[1]), names, rows)


def make_finding(**changes: object) -> Finding:
    """A finding, any field changed."""
    fields: dict[str, object] = {
        "detector": "threshold",
        "signal": "db_query_time_p95",
        "title": "Database query time",
        "service": "shop",
        "component": "database",
        "kind": "red",
        "severity": Severity.WARNING,
        "value": 0.15,
        "expected": 0.02,
        "onset": 1000.0,
        "limit": 0.1,
        "labels": {"service": "shop"},
    }
    return Finding(**(fields | changes))  # type: ignore[arg-type]


def make_threshold(**changes: object) -> str:
    """One entry of thresholds.yml as YAML, any field changed; a field that is None is left out."""
    fields: dict[str, object] = {
        "signal": "depth",
        "title": "Queue depth",
        "component": "database",
        "kind": "use",
        "unit": "seconds",
        "direction": "above",
        "warning": 10,
        "critical": 20,
        "owner": "database",
        "alert": "DepthHigh",
        "category": "capacity",
        "record": "depth",
        "expr": "depth",
    }
    entry = {name: value for name, value in (fields | changes).items() if value is not None}
    return yaml.safe_dump([entry], sort_keys=False)


def make_thresholds(*entries: str, rest: str = "") -> str:
    """A whole thresholds.yml of the given entries."""
    return f"signals:\n{''.join(entries)}{rest}"
