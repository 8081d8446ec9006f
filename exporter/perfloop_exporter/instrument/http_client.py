"""`instrument_httpx(client)`: the duration of outgoing requests by method, host and status."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from perfloop_exporter.instrument.traces import observe
from perfloop_exporter.instrument.wrapping import measure_method
from perfloop_exporter.metrics.registry import DEFAULT

DURATION = DEFAULT.histogram(
    "http_client_request_duration_seconds",
    "Duration of outgoing HTTP requests; of streamed ones until the headers of the response.",
    ("http_request_method", "server_address", "http_response_status_code"),
)
# Label value in place of the status when there was no response.
NO_RESPONSE = "error"


def instrument_httpx(client: Any) -> None:
    """Measure an `httpx.Client` or `httpx.AsyncClient`."""
    measure_method(client, "send", _Request)


class _Request:
    """One request, including its redirects."""

    def __init__(self, request: Any, **_options: Any) -> None:
        self._method = request.method
        self._host = request.url.host
        self._started = perf_counter()

    def finished(self, response: Any) -> None:
        """Record the response."""
        self._count(str(response.status_code))

    def failed(self, _error: BaseException) -> None:
        """Record the failed request."""
        self._count(NO_RESPONSE)

    def _count(self, status: str) -> None:
        observe(DURATION.labels(self._method, self._host, status), perf_counter() - self._started)
