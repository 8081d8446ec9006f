"""The one line `instrument(app)` on a FastAPI app."""

from __future__ import annotations

import httpx
from fastapi import APIRouter, FastAPI

from perfloop import instrument, performance_monitor


async def test_one_line_measures_requests_and_serves_metrics():
    """A request to a nested route appears in /metrics under its template."""
    app = FastAPI()
    inner = APIRouter(prefix="/inner")

    @inner.get("/thin/{item}")
    async def read(item: int) -> int:
        return item

    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app.include_router(outer)
    instrument(app)
    performance_monitor.record_metric("thin_response_time_ms", 150.5, tags={"service": "api"})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        assert (await client.get("/outer/inner/thin/5")).json() == 5
        text = (await client.get("/metrics")).text
    assert 'http_route="/outer/inner/thin/{item}",http_response_status_code="200"' in text.replace(
        'http_response_status_code="200",http_route="/outer/inner/thin/{item}"',
        'http_route="/outer/inner/thin/{item}",http_response_status_code="200"',
    )
    assert 'app_thin_response_time_seconds_sum{service="api"} 0.1505\n' in text
