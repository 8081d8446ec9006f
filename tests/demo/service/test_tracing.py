"""The demo's spans: sent by OTLP where the variables ask for it, and only of requests that their caller traces."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from perfloop_demo.service import tracing
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    """A receiver that keeps what it decodes: (service, trace, parent, name) of each span."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for one in trace_service.ExportTraceServiceRequest.FromString(body).resource_spans:
                service = {pair.key: pair.value.string_value for pair in one.resource.attributes}["service.name"]
                for scope in one.scope_spans:
                    server.spans += [
                        (service, span.trace_id.hex(), span.parent_span_id.hex(), span.name) for span in scope.spans
                    ]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.spans = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_traced_request_is_a_span_of_its_callers_trace(receiver: ThreadingHTTPServer, tmp_path: Path):
    """The load generator decides which requests are recorded: one without a trace makes no span."""
    (port,) = find_free_ports(1)
    endpoint = f"http://127.0.0.1:{receiver.server_port}/v1/traces"
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    command = [sys.executable, "-m", "perfloop_demo.service", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen([*command, f"--data.dir={tmp_path}"], env=environment)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/-/ready").is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, "the demo", 90)
        httpx.post(f"{url}/api/v1/search", json={"query": "x"}).raise_for_status()
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        httpx.post(f"{url}/api/v1/search", json={"query": "x"}, headers=headers).raise_for_status()
        wait_for(lambda: receiver.spans, "spans", 60)
    finally:
        process.terminate()
        process.wait(60)
    assert {trace for _, trace, _, _ in receiver.spans} == {TRACE}
    assert ("demo", TRACE, SPAN, "POST /api/v1/search") in receiver.spans


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_set_up_unless_it_is_asked_for(environment: dict[str, str]):
    """Without an endpoint, or where the variables turn it off, the demo is as it was."""
    assert not tracing.is_asked_for(environment)
    tracing.set_up(environment)()
