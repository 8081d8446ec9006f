"""Every public name, loaded from its package when it is first used (PEP 562)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from perfloop.extras import explain_missing

# The package of each name, and the extra that installs what the package needs; the base install is enough for "".
_PACKAGES = {
    "AlertEvent": ("perfloop_exporter.monitor", ""),
    "CacheMetrics": ("perfloop_exporter.instrument", ""),
    "PerformanceMonitor": ("perfloop_exporter.monitor", ""),
    "db_operation": ("perfloop_exporter.instrument", ""),
    "instrument": ("perfloop_exporter.instrument", ""),
    "instrument_httpx": ("perfloop_exporter.instrument", ""),
    "instrument_openai": ("perfloop_exporter.instrument", ""),
    "instrument_redis": ("perfloop_exporter.instrument", ""),
    "instrument_sqlalchemy": ("perfloop_exporter.instrument", ""),
    "llm_server_call": ("perfloop_exporter.instrument", ""),
    "performance_monitor": ("perfloop_exporter.monitor", ""),
    "send_metrics": ("perfloop_exporter.instrument", ""),
    "waiting": ("perfloop_exporter.instrument", ""),
    "LoadTestConfig": ("perfloop_loadgen", "loadgen"),
    "LoadTestSuite": ("perfloop_loadgen", "loadgen"),
    "LoadTester": ("perfloop_loadgen", "loadgen"),
    "create_basic_load_test": ("perfloop_loadgen", "loadgen"),
    "create_endurance_test": ("perfloop_loadgen", "loadgen"),
    "create_spike_test": ("perfloop_loadgen", "loadgen"),
    "create_stress_test": ("perfloop_loadgen", "loadgen"),
    "OptimizationAnalyzer": ("perfloop_analyzer", "analyzer"),
    "optimization_analyzer": ("perfloop_analyzer", "analyzer"),
}

__all__ = [  # noqa: PLE0604 - the table above is the one list of names
    *_PACKAGES
]


def __getattr__(name: str) -> Any:
    if name not in _PACKAGES:
        raise AttributeError(f"module 'perfloop' has no attribute {name!r}")
    package, extra = _PACKAGES[name]
    try:
        value = getattr(import_module(package), name)
    except ImportError as error:
        sentence = explain_missing(error, extra) if extra else None
        if sentence is None:
            raise
        raise ImportError(f"perfloop.{name}: {sentence}", name="perfloop") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
