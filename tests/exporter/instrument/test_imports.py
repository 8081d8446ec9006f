"""What importing the instrumentation loads."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "scipy", "starlette", "fastapi", "uvicorn", "sqlalchemy", "redis", "httpx", "openai", "pydantic")

PROGRAM = f"""
import sys
from perfloop import (
    CacheMetrics, PerformanceMonitor, db_operation, instrument, instrument_httpx, instrument_openai, instrument_redis,
    instrument_sqlalchemy, llm_server_call, performance_monitor,
)
performance_monitor.record_metric("api_response_time_ms", 150.5, {{"endpoint": "/search"}}, {{"service": "api"}})
performance_monitor.get_metric_stats("api_response_time_ms")
performance_monitor.get_system_stats()
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_the_import_is_light():
    """It loads no numpy, no scipy, no web framework or server, and no database toolkit."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
