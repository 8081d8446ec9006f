"""Several real worker processes, one `/metrics`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from .conftest import Samples, read_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIRECTORY = Path(__file__).parent
CHECKOUT = DIRECTORY.parents[2]
COUNTED = (
    "http_server_request_duration_seconds_count",
    frozenset({("http_request_method", "GET"), ("http_route", "/pid"), ("http_response_status_code", "200")}),
)
# A worker decrements this gauge only after the response's last byte, so the test waits for it.
ACTIVE = ("http_server_active_requests", frozenset())

SERVERS = {
    "uvicorn --workers": ["-m", "uvicorn", "worker_app:app", "--workers=2", "--log-level=warning", "--port={port}"],
    "gunicorn": [
        *("-m", "gunicorn", "worker_app:app", "--workers=2", "--worker-class=uvicorn_worker.UvicornWorker"),
        *("--bind=127.0.0.1:{port}", "--log-level=warning"),
    ],
    "gunicorn --preload": [
        *(
            "-m",
            "gunicorn",
            "worker_app:app",
            "--workers=2",
            "--worker-class=uvicorn_worker.UvicornWorker",
            "--preload",
        ),
        *("--bind=127.0.0.1:{port}", "--log-level=warning"),
    ],
}


class Service:
    """The running service with two workers."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home

    def get(self, path: str) -> httpx.Response:
        """Send a request on a connection of its own, so that any worker may serve it."""
        return httpx.get(self.url + path, timeout=60, trust_env=False)

    def samples(self) -> Samples:
        """Return the metrics, from any of the workers."""
        return read_samples(self.get("/metrics").text)

    def await_samples(self, condition: Callable[[Samples], bool]) -> Samples:
        """Wait until the condition holds."""
        deadline = time.monotonic() + 60
        while True:
            samples = self.samples()
            if condition(samples):
                return samples
            assert time.monotonic() < deadline, samples
            time.sleep(0.1)

    def visit_both(self) -> dict[int, int]:
        """Send requests until two workers have served some; return how many by process id."""
        answered: dict[int, int] = {}
        deadline = time.monotonic() + 60
        while len(answered) < 2 or sum(answered.values()) < 20:
            assert time.monotonic() < deadline, answered
            with contextlib.suppress(httpx.TransportError):
                pid = self.get("/pid").json()
                answered[pid] = answered.get(pid, 0) + 1
        return answered


@pytest.fixture(params=SERVERS, ids=str)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """Start two workers of a real server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *(part.format(port=port) for part in SERVERS[request.param])]
    client_directory = tmp_path / "prometheus_client"
    client_directory.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{DIRECTORY}:{CHECKOUT}",
        "PERFLOOP_HOME": str(tmp_path),
        "PROMETHEUS_MULTIPROC_DIR": str(client_directory),
    }
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, env=environment, cwd=DIRECTORY, stdout=log, stderr=log)
    made = Service(f"http://127.0.0.1:{port}", tmp_path)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                made.get("/metrics")
                break
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            assert server.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        log.close()


def check_sums(samples: Samples, answered: dict[int, int]) -> None:
    """Check that the metrics of both workers are in the scrape: recorded ones, prometheus_client's, process metrics."""
    total = sum(answered.values())
    assert samples["app_work_seconds_sum", frozenset({("kind", "test")})] == total
    assert samples["foreign_jobs_total", frozenset()] == total
    assert samples["foreign_alive", frozenset()] == 2
    assert samples["perfloop_workers", frozenset()] == 2
    assert samples["app_last_seen", frozenset()] in answered
    for name in ("perfloop_worker_cpu_seconds_total", "perfloop_worker_resident_memory_bytes"):
        assert {int(dict(labels)["pid"]) for found, labels in samples if found == name} == set(answered)
    memory = [value for (name, _), value in samples.items() if name == "perfloop_worker_resident_memory_bytes"]
    assert samples["process_resident_memory_bytes", frozenset()] == pytest.approx(sum(memory), rel=0.1)


def test_scrapes_are_merged_and_counters_of_ended_workers_stay(service: Service):
    """Whichever worker is scraped, the sums are those of all; a killed worker's counters stay, its gauges do not."""
    answered = service.visit_both()
    total = sum(answered.values())
    samples = service.await_samples(lambda found: found.get(COUNTED) == total and found[ACTIVE] == 0)
    check_sums(samples, answered)
    spent = samples["process_cpu_seconds_total", frozenset()]

    with pytest.raises(httpx.TransportError):
        service.get("/die")
    # While the server replaces it, and after: no counter is ever below an earlier scrape.
    before = float(total)

    def is_replaced(found: Samples) -> bool:
        nonlocal before
        assert found[COUNTED] >= before
        before = found[COUNTED]
        with contextlib.suppress(httpx.TransportError):
            service.get("/pid")
        reaped = found.get(("perfloop_workers_reaped_total", frozenset()))
        return reaped == 1 and found["perfloop_workers", frozenset()] == 2

    service.await_samples(is_replaced)
    more = service.visit_both()
    assert len(set(more) - set(answered)) == 1
    at_least = before + sum(more.values())
    samples = service.await_samples(lambda found: found[COUNTED] >= at_least and found[ACTIVE] == 0)
    assert samples["foreign_alive", frozenset()] == 2
    assert samples["process_cpu_seconds_total", frozenset()] > spent
    assert len(list(service.home.glob("perfloop-workers-*/*/*.alive"))) == 2
