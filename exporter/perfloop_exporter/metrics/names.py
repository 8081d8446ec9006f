"""Metric names for Prometheus from the user's names: a prefix, base units, and the unit as a suffix."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.units import Quantity, measure
from perfloop_exporter.metrics.text import NAME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.metrics.families import Kind

PREFIX = "app_"


@dataclass(frozen=True, slots=True)
class WireName:
    """How one of the user's metrics is exported: exported value = user's value x factor."""

    name: str
    kind: Kind
    factor: float
    unit: str


# What a user measures decides how it is kept; a name without a unit is a gauge.
_KINDS: Mapping[Quantity, Kind] = {"time": "histogram", "count": "counter"}
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_]+")


def wire_name(name: str) -> WireName:
    """`api_response_time_ms` -> `app_api_response_time_seconds`, a histogram, factor 0.001.

    Raises:
        ValueError: The name is longer than NAME_LIMIT.
    """
    if len(name) > NAME_LIMIT:
        raise ValueError(f"the name has {len(name)} characters, more than {NAME_LIMIT}: what varies belongs into tags")
    return _wire_name(name)


@functools.lru_cache(maxsize=2048)
def _wire_name(name: str) -> WireName:
    clean = _FORBIDDEN.sub("_", name).strip("_") or "unnamed"
    if not clean.startswith(PREFIX):
        clean = PREFIX + clean
    found = measure(clean)
    return WireName(found.name, _KINDS.get(found.quantity, "gauge"), found.factor, found.unit)


def label_name(name: str) -> str:
    """Return a tag's name as a label name: letters, digits and underscores; `__…`, `le` and `quantile` are reserved."""
    clean = _FORBIDDEN.sub("_", name).lstrip("_") or "unnamed"
    return f"tag_{clean}" if clean[0].isdigit() or clean in {"le", "quantile"} else clean
