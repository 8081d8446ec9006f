"""What the code declares, live or not: the collectors' families and those of the instrumentation library."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

import perfloop_exporter.collectors
import perfloop_exporter.instrument
from perfloop_exporter.collectors.families import Family
from perfloop_exporter.metrics.registry import DEFAULT
from tests.wire.exposition import Exported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def collector_families() -> dict[str, Exported]:
    """Every family that stands at the top of a collector's file."""
    found = {}
    for module in _modules(perfloop_exporter.collectors):
        for family in _find(list(vars(module).values())):
            found[family.name] = Exported(family.kind, family.help, set(family.labels))
    return found


def library_families() -> dict[str, Exported]:
    """Every family that importing the instrumentation makes."""
    list(_modules(perfloop_exporter.instrument))
    described = [family.descriptor for family in DEFAULT._families.values()]
    return {one.name: Exported(one.kind, one.help, set(one.label_names)) for one in described}


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{module.name}")


def _find(values: Any) -> Iterator[Family]:
    for value in values:
        if isinstance(value, Family):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _find(value)
        elif isinstance(value, dict):
            yield from _find(value.values())
