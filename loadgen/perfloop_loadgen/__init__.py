"""The load generator: load shapes, engines, gates, reports. Public names are loaded on first use (PEP 562)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "LoadTestConfig": "perfloop_loadgen.config",
    "LoadTestSuite": "perfloop_loadgen.app",
    "LoadTester": "perfloop_loadgen.app",
    "create_basic_load_test": "perfloop_loadgen.config",
    "create_endurance_test": "perfloop_loadgen.config",
    "create_spike_test": "perfloop_loadgen.config",
    "create_stress_test": "perfloop_loadgen.config",
}

__all__ = [  # noqa: PLE0604 - the table above is the one list of names
    *_MODULES
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
