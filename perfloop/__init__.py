"""The front door: every public name, loaded from its room when it is first asked for (PEP 562)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AlertEvent": "perfloop_exporter.monitor",
    "CacheMetrics": "perfloop_exporter.instrument",
    "PerformanceMonitor": "perfloop_exporter.monitor",
    "db_operation": "perfloop_exporter.instrument",
    "instrument": "perfloop_exporter.instrument",
    "instrument_httpx": "perfloop_exporter.instrument",
    "instrument_openai": "perfloop_exporter.instrument",
    "instrument_redis": "perfloop_exporter.instrument",
    "instrument_sqlalchemy": "perfloop_exporter.instrument",
    "llm_server_call": "perfloop_exporter.instrument",
    "performance_monitor": "perfloop_exporter.monitor",
    "LoadTestConfig": "perfloop_loadgen",
    "LoadTestSuite": "perfloop_loadgen",
    "LoadTester": "perfloop_loadgen",
    "create_basic_load_test": "perfloop_loadgen",
    "create_endurance_test": "perfloop_loadgen",
    "create_spike_test": "perfloop_loadgen",
    "create_stress_test": "perfloop_loadgen",
    "OptimizationAnalyzer": "perfloop_analyzer",
    "optimization_analyzer": "perfloop_analyzer",
}

__all__ = [  # noqa: PLE0604 - the table above is the one list of names
    *_HOMES
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'perfloop' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
