"""The user's own dictionaries as series: names with their units, and values in whatever shape they come.

A value may be one number, a list of numbers, a list of `{"value": …, "timestamp": …}`, or statistics with `p95` or
`mean`. What cannot be read is left out and named with its reason; nothing is put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from perfloop_analyzer.series import Batch, Floats, Grid
from perfloop_base.units import measure

SPAN = 60
MOST = 1e30  # the largest value that is a measurement
LATEST = 1e12  # the latest moment in Unix seconds


@dataclass(frozen=True, slots=True)
class Alias:
    """What a name of the user means: a signal, the factor to base units, and how samples make one value."""

    signal: str
    factor: float
    quantile: float | None


# A user's name without its unit: the signal, and the quantile that represents many samples; None is the mean.
ALIASES = {
    "api_response_time": ("api_response_time_p95", 0.95),
    "response_time": ("api_response_time_p95", 0.95),
    "database_query_time": ("db_query_time_p95", 0.95),
    "db_query_time": ("db_query_time_p95", 0.95),
    "query_time": ("db_query_time_p95", 0.95),
    "vector_search_time": ("vector_search_time_p95", 0.95),
    "model_inference_time": ("model_inference_time_p95", 0.95),
    "time_to_first_token": ("time_to_first_token_p95", 0.95),
    "cache_hit_rate": ("cache_hit_ratio", None),
    "error_rate": ("error_ratio", None),
    "timeout_rate": ("timeout_ratio", None),
    "connection_pool_usage": ("db_pool_used_ratio", None),
    "db_pool_usage": ("db_pool_used_ratio", None),
    "cpu": ("cpu_used_ratio", None),
    "cpu_usage": ("cpu_used_ratio", None),
    "memory": ("memory_used_ratio", None),
    "memory_usage": ("memory_used_ratio", None),
    "disk_usage": ("filesystem_used_ratio", None),
    "disk_io": ("disk_io_bytes_per_second", None),
    "network_io": ("network_io_bytes_per_second", None),
    "requests_per_second": ("request_rate", None),
    "throughput": ("request_rate", None),
}
# Without a unit in the name, these are percentages when a value above 1 is seen.
_RATIOS = ("_ratio",)


def resolve_alias(name: str) -> Alias | None:
    """Return what a name means; None when it is unknown."""
    found = measure(name.lower())
    if found.stem not in ALIASES:
        return None
    signal, quantile = ALIASES[found.stem]
    return Alias(signal, found.factor, quantile)


def read_samples(value: object, quantile: float | None) -> tuple[Floats, Floats | None]:
    """Return values and, where they are given, times; an empty array when nothing is readable."""
    if isinstance(value, Mapping):
        value = _from_mapping(value, quantile)
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        value = [value]
    values = np.array([_number(item) for item in value], dtype=np.float64)
    times = np.array([_moment(item) for item in value], dtype=np.float64)
    there = np.isfinite(values)
    timed = bool(there.any()) and bool(np.isfinite(times[there]).all())
    return values[there], times[there] if timed else None


def _from_mapping(value: Mapping[Any, Any], quantile: float | None) -> object:
    if quantile is not None and "p95" in value:
        return [value["p95"]]
    for name in ("values", "samples", "data", "value", "mean", "avg", "average", "current"):
        if name in value:
            return value[name]
    return []


def _number(item: object) -> float:
    if isinstance(item, Mapping):
        item = item.get("value")
    item = getattr(item, "value", item)
    if isinstance(item, bool) or not isinstance(item, int | float | np.number):
        return float("nan")
    return _float(item, MOST)


def _float(number: float | np.number[Any], most: float) -> float:
    """Return a number as a float; one beyond `most` is no measurement, and NaN."""
    try:
        value = float(number)
    except OverflowError:
        return float("nan")
    return value if abs(value) <= most else float("nan")


def _moment(item: object) -> float:
    stamp = item.get("timestamp") if isinstance(item, Mapping) else getattr(item, "timestamp", None)
    try:
        if isinstance(stamp, datetime):
            return stamp.timestamp()
        if isinstance(stamp, str):
            return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError, OSError):
        return float("nan")
    return _float(stamp, LATEST) if isinstance(stamp, int | float) else float("nan")


def to_batch(alias: Alias, values: Floats, times: Floats | None, labels: Mapping[str, str]) -> Batch:
    """Return one series of the signal: at each sample the quantile or mean of the samples up to it, SPAN at most."""
    scaled = values * alias.factor
    if alias.signal.endswith(_RATIOS) and alias.factor == 1.0 and scaled.max() > 1.0:
        scaled = scaled / 100.0
    if times is not None and len(times) > 1:
        order = np.argsort(times, kind="stable")
        scaled, times = scaled[order], times[order]
    steps = np.diff(times) if times is not None and len(times) > 1 else np.ones(1)
    step = float(np.median(steps)) or 1.0
    start = float(times[-1] - step * (len(scaled) - 1)) if times is not None else 0.0
    row = np.array([_aggregate(scaled[max(0, end - SPAN) : end], alias.quantile) for end in range(1, len(scaled) + 1)])
    return Batch(alias.signal, Grid(start, step, len(row)), (labels,), row[None, :])


def _aggregate(part: Floats, quantile: float | None) -> float:
    return float(part.mean()) if quantile is None else float(np.quantile(part, quantile))
