"""What is wrong and what to do: PromQL in; findings, health, forecasts and recommendations out."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "OptimizationAnalyzer": "perfloop_analyzer.dictionaries",
    "optimization_analyzer": "perfloop_analyzer.dictionaries",
}

__all__ = [  # noqa: PLE0604 - the table above is the one list of names
    *_HOMES
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'analyzer' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
