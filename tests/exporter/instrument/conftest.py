"""A real uvicorn on a free port, and a reader of what it exposes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class RunningServer:
    """A running server and its `/metrics`."""

    def __init__(self, url: str) -> None:
        self.url = url
        # No connection is reused: after a failed request the server closes it at some later moment.
        self.http = httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))

    def samples(self, path: str = "/metrics") -> Samples:
        """Return every sample, by name and labels."""
        return read_samples(self.http.get(path).text)

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample, None when it does not exist."""
        return self.samples().get((name, frozenset(labels.items())))

    def await_value(self, name: str, expected: float, **labels: str) -> None:
        """Wait until the sample has the value: a request is counted after its response was sent."""
        deadline = time.monotonic() + 60
        while (found := self.value(name, **labels)) != expected:
            assert time.monotonic() < deadline, (
                f"{name}{labels} is {found}, not {expected}\n{self.http.get('/metrics').text}"
            )
            time.sleep(0.02)


def read_samples(text: str) -> Samples:
    """Return the samples of an exposition."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextlib.contextmanager
def run_server(app: Any, **options: Any) -> Iterator[RunningServer]:
    """Serve `app` with uvicorn on a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", lifespan="off", **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        running = RunningServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            yield running
        finally:
            running.http.close()
            server.should_exit = True
            thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., RunningServer]]:
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(run_server(app, **options))


@pytest.fixture
def registry() -> MetricRegistry:
    """Return a registry of the test's own."""
    return MetricRegistry()


def read_default(name: str, **labels: str) -> float | None:
    """Return one sample of the process-wide registry, None when it does not exist."""
    return read_samples(render(DEFAULT.families()).decode()).get((name, frozenset(labels.items())))
