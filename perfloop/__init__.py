"""The front door: every public name, loaded from its room when it is first asked for (PEP 562)."""

from importlib import import_module
from typing import Any

_HOMES = {
    "AlertEvent": "exporter.monitor",
    "CacheMetrics": "exporter.instrument",
    "PerformanceMonitor": "exporter.monitor",
    "db_operation": "exporter.instrument",
    "instrument": "exporter.instrument",
    "instrument_httpx": "exporter.instrument",
    "instrument_openai": "exporter.instrument",
    "instrument_redis": "exporter.instrument",
    "instrument_sqlalchemy": "exporter.instrument",
    "llm_server_call": "exporter.instrument",
    "performance_monitor": "exporter.monitor",
    "LoadTestConfig": "loadgen",
    "LoadTestSuite": "loadgen",
    "LoadTester": "loadgen",
    "create_basic_load_test": "loadgen",
    "create_endurance_test": "loadgen",
    "create_spike_test": "loadgen",
    "create_stress_test": "loadgen",
    "OptimizationAnalyzer": "analyzer",
    "optimization_analyzer": "analyzer",
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
