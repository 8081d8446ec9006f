"""`instrument_httpx(client)`: the duration of every outgoing request, by method, host and status."""

from __future__ import annotations

import functools
import inspect
import time
from typing import Any

from exporter.metrics.registry import DEFAULT

DURATION = DEFAULT.histogram(
    "http_client_request_duration_seconds",
    "Duration of outgoing HTTP requests, until the response's headers.",
    ("http_request_method", "server_address", "http_response_status_code"),
)


def instrument_httpx(client: Any) -> None:
    """Measure an `httpx.Client` or `httpx.AsyncClient`."""
    original = client.send

    def record(start: float, request: Any, status: str) -> None:
        DURATION.labels(request.method, request.url.host, status).observe(time.perf_counter() - start)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def send(request: Any, **options: Any) -> Any:
            start, status = time.perf_counter(), "error"
            try:
                response = await original(request, **options)
                status = str(response.status_code)
                return response
            finally:
                record(start, request, status)

    else:

        @functools.wraps(original)
        def send(request: Any, **options: Any) -> Any:
            start, status = time.perf_counter(), "error"
            try:
                response = original(request, **options)
                status = str(response.status_code)
                return response
            finally:
                record(start, request, status)

    client.send = send
