"""An OTLP receiver that decodes what it is sent, and answers as a test wants."""

from __future__ import annotations

import contextlib
import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

Points = dict[tuple[str, frozenset[tuple[str, str]]], Any]


class Receiver:
    """A receiver on a free port; `status` is what it answers with from now on."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.arrived = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.paths.append(self.path)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                if receiver.status == 200:
                    receiver.requests.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.arrived.set()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def wait(self, seconds: float = 60) -> None:
        """Wait for one more request."""
        assert self.arrived.wait(seconds), "nothing was sent"
        self.arrived.clear()

    def resource(self) -> dict[str, str]:
        """Return the attributes of the last sender."""
        (one,) = self.requests[-1].resource_metrics
        return {pair.key: pair.value.string_value for pair in one.resource.attributes}

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of the last request, by name."""
        (one,) = self.requests[-1].resource_metrics
        return {metric.name: metric for scope in one.scope_metrics for metric in scope.metrics}


def samples_of(metrics: dict[str, Any]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample that Prometheus makes of the metrics, by name and labels; `le` as a number."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for name, metric in metrics.items():
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = {pair.key: pair.value.string_value for pair in point.attributes}
            if kind != "histogram":
                found[name, frozenset(labels.items())] = point.as_double
                continue
            total = 0
            for bound, count in zip((*point.explicit_bounds, float("inf")), point.bucket_counts, strict=True):
                total += count
                found[f"{name}_bucket", frozenset({**labels, "le": repr(bound)}.items())] = total
            found[f"{name}_count", frozenset(labels.items())] = point.count
            found[f"{name}_sum", frozenset(labels.items())] = point.sum
    return found


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive while the block runs."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
