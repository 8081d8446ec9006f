"""Exemplars as evidence: of a latency that is too high, the traces of requests that were slow. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.traces import is_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST_TRACES = 3
"""How many traces one finding names."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A request that was traced: its duration in seconds, and when it ended, in Unix seconds."""

    trace_id: str
    seconds: float
    at: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"trace_id": self.trace_id, "seconds": self.seconds, "at": self.at}


def choose_traces(series: Iterable[Any], labels: Mapping[str, str]) -> tuple[Traced, ...]:
    """Return the slowest traces of the series that a finding is about, the slowest first.

    Args:
        series: What Prometheus's /api/v1/query_exemplars has under `data`; what is not as documented is passed over,
            since labels of exemplars are what an application has put there.
        labels: Of the finding; a label that a series does not have says nothing about it.
    """
    found: dict[str, Traced] = {}
    for one in _read(series, labels):
        known = found.get(one.trace_id)
        if known is None or known.seconds < one.seconds:
            found[one.trace_id] = one
    return tuple(sorted(found.values(), key=lambda one: (-one.seconds, one.trace_id))[:MOST_TRACES])


def _read(series: Iterable[Any], labels: Mapping[str, str]) -> Iterator[Traced]:
    for one in series:
        own = one.get("seriesLabels") if isinstance(one, dict) else None
        if not isinstance(own, dict) or any(own.get(name, value) != value for name, value in labels.items()):
            continue
        exemplars = one.get("exemplars")
        for exemplar in exemplars if isinstance(exemplars, list) else ():
            traced = _traced(exemplar)
            if traced is not None:
                yield traced


def _traced(exemplar: Any) -> Traced | None:
    try:
        trace_id = exemplar["labels"]["trace_id"]
        seconds, at = float(exemplar["value"]), float(exemplar["timestamp"])
    except (TypeError, KeyError, ValueError):
        return None
    if not isinstance(trace_id, str) or not is_trace_id(trace_id) or not math.isfinite(seconds + at):
        return None
    return Traced(trace_id, seconds, at)
