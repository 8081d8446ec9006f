"""A real Prometheus scrapes an instrumented service, with values and exemplars."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
from fastapi import FastAPI

from perfloop_exporter.instrument import instrument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer

TRACE = "0af7651916cd43dd8448eb211c80319c"


def ask(port: int, path: str, **parameters: str) -> Any:
    """Return the data of an API response, None while the server is not ready."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=parameters)
    except httpx.TransportError:
        return None
    return answer.json().get("data") if answer.is_success else None


def test_prometheus_stores_values_and_exemplars(
    serve: Callable[..., RunningServer], registry: MetricRegistry, prometheus_binary: str, tmp_path: Path
):
    """It negotiates OpenMetrics, so that a query of exemplars returns the trace id of a request."""
    app = FastAPI()
    app.get("/items/{item}")(lambda item: item)
    server = serve(instrument(app, registry=registry))
    server.http.get("/items/1", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = {"targets": [server.url.removeprefix("http://")]}
    jobs = [{"job_name": "service", "scrape_interval": "200ms", "scrape_timeout": "200ms", "static_configs": [target]}]
    (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": jobs}))
    prometheus = subprocess.Popen(
        [
            prometheus_binary,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--log.level=error",
        ]
    )
    try:
        now = time.time()
        deadline = now + 60
        name = "http_server_request_duration_seconds"
        while not (
            found := ask(port, "query_exemplars", query=f"{name}_bucket", start=f"{now - 60}", end=f"{now + 60}")
        ):
            assert time.time() < deadline
            time.sleep(0.1)
        assert found[0]["exemplars"][0]["labels"]["trace_id"] == TRACE
        (count,) = ask(port, "query", query=f'{name}_count{{http_route="/items/{{item}}"}}')["result"]
        assert count["value"][1] == "1"
        assert ask(port, "query", query="up")["result"][0]["value"][1] == "1"
    finally:
        prometheus.terminate()
        prometheus.wait(60)
