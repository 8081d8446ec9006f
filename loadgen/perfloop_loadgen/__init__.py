"""Make it happen: load shapes, engines, gates, reports. Public names are loaded when first asked for (PEP 562)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "LoadTestConfig": "perfloop_loadgen.config",
    "LoadTestSuite": "perfloop_loadgen.app",
    "LoadTester": "perfloop_loadgen.app",
    "create_basic_load_test": "perfloop_loadgen.config",
    "create_endurance_test": "perfloop_loadgen.config",
    "create_spike_test": "perfloop_loadgen.config",
    "create_stress_test": "perfloop_loadgen.config",
}

__all__ = [  # noqa: PLE0604 - the table above is the one list of names
    *_HOMES
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'loadgen' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(home), name)
