"""Every monitoring example of the user's page runs unchanged, except for its import line."""

from __future__ import annotations

import ast
import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI, Request

import perfloop_exporter.monitor
from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.monitor import PerformanceMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_FEATURES = """\
# Real-time metric recording
performance_monitor.record_metric("api_response_time", 150.5, metadata={"endpoint": "/search"})

# Time measurement context manager
async with performance_monitor.measure_time("database_query"):
    result = await database.query("SELECT * FROM users")

# System health monitoring
system_stats = performance_monitor.get_system_stats()
"""

INITIALIZE = """\
from performance.performance_monitor import performance_monitor

# Start monitoring
await performance_monitor.start()

# Configure thresholds
performance_monitor.set_threshold("api_response_time_ms", 1000)
performance_monitor.set_threshold("cpu_percent", 80)
"""

INTEGRATE = """\
# In your FastAPI service
from performance.performance_monitor import performance_monitor

@app.middleware("http")
async def performance_middleware(request: Request, call_next):
    start_time = time.time()
    response = await call_next(request)
    duration_ms = (time.time() - start_time) * 1000

    performance_monitor.record_metric(
        "api_response_time_ms",
        duration_ms,
        {"endpoint": request.url.path, "method": request.method},
        {"service": "api"}
    )

    return response
"""

USAGE = """\
# Start monitoring
await performance_monitor.start()

# Record custom metrics
performance_monitor.record_metric("custom_metric", 42.0)

# Get performance statistics
stats = performance_monitor.get_metric_stats("custom_metric")
print(f"Average: {stats.mean}, P95: {stats.p95}")
"""

THEIRS = "from performance.performance_monitor import performance_monitor\n"
OURS = "from perfloop import performance_monitor\n"


class Database:
    """The database of the user's service."""

    async def query(self, statement: str) -> str:
        """Return after 20 ms."""
        await asyncio.sleep(0.02)
        return statement


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[PerformanceMonitor]:
    """Return a monitor of the test's own, in place of the process-wide one."""
    made = PerformanceMonitor(MetricRegistry())
    monkeypatch.setattr(perfloop_exporter.monitor, "performance_monitor", made)
    import perfloop

    monkeypatch.delitem(vars(perfloop), "performance_monitor", raising=False)
    yield made
    vars(perfloop).pop("performance_monitor", None)


async def run(example: str, **names: Any) -> dict[str, Any]:
    """Run an example and return its variables."""
    text = example.replace(THEIRS, OURS) if THEIRS in example else OURS + example
    code = compile(text, "<the user's page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    answer = eval(code, names)
    if inspect.isawaitable(answer):
        await answer
    return names


async def test_key_features(monitor: PerformanceMonitor):
    """Recording, timing and the system's state."""
    names = await run(KEY_FEATURES, database=Database())
    assert names["result"] == "SELECT * FROM users"
    assert names["system_stats"]["memory_percent"] > 0
    assert monitor.get_metric_stats("api_response_time").last == 150.5
    assert monitor.get_metric_stats("database_query").last >= 20


async def test_initialize_monitor(monitor: PerformanceMonitor):
    """Starting, and two thresholds that hold."""
    called = asyncio.Event()

    async def callback(_event: object) -> None:
        called.set()

    monitor.add_alert_callback(callback)
    await run(INITIALIZE)
    monitor.record_metric("api_response_time_ms", 1001)
    await asyncio.wait_for(called.wait(), 60)
    await monitor.stop()


async def test_integrate_with_services(monitor: PerformanceMonitor):
    """The middleware of the page, on a FastAPI service."""
    app = FastAPI()
    app.get("/search")(lambda: "found")
    await run(INTEGRATE, app=app, Request=Request, time=time)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        assert (await client.get("/search")).json() == "found"
    assert monitor.get_metric_stats("api_response_time_ms").count == 1
    text = render(monitor._registry.families()).decode()
    assert 'app_api_response_time_seconds_count{service="api"} 1.0\n' in text


async def test_basic_performance_monitoring(monitor: PerformanceMonitor, capsys: pytest.CaptureFixture[str]):
    """The statistics of a custom metric."""
    await run(USAGE)
    await monitor.stop()
    assert capsys.readouterr().out == "Average: 42.0, P95: 42.0\n"
