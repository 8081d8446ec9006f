"""The analyzer: PromQL in; findings, health, forecasts, causes and recommendations out."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "OptimizationAnalyzer": "perfloop_analyzer.dictionaries",
    "optimization_analyzer": "perfloop_analyzer.dictionaries",
}

__all__ = [  # noqa: PLE0604 - the table above is the one list of names
    *_MODULES
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'perfloop_analyzer' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value
