"""Values in whatever shape a program has them, as numbers with their times.

One number; a list, a deque or an array of numbers; pairs of time and value, as Prometheus returns them;
`{time: value}`; records such as `{"timestamp": …, "value": …}` under any of the usual names, or objects with such
attributes; columns of times and values; statistics with `p95` or `mean`; a Series or DataFrame of pandas, which is
recognized by its attributes and not imported. Numbers may be texts; times are Unix seconds, milliseconds, micro- or
nanoseconds, ISO 8601 or datetimes. What cannot be read is left out; nothing is put in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.aliases import factor_of, normal
from perfloop_base.units import measure

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

MOST = 1e30  # the largest value that is a measurement
LATEST = 1e11  # in Unix seconds; larger numbers are milliseconds, and so on by thousands
_NANOSECONDS = 1e9
_TIMES = frozenset(
    ("timestamp", "timestamps", "time", "times", "ts", "t", "datetime", "date", "at", "when", "epoch", "x", "moment")
)
_VALUES = ("value", "values", "val", "v", "y", "data", "samples", "points", "datapoints", "history", "result")
_MIDDLES = ("mean", "avg", "average", "current", "last", "median", "p50", "50%")
_UPPERS = ("p95", "95%", "p_95", "percentile_95")
_STATISTICS = frozenset((*_MIDDLES, *_UPPERS, "p90", "p99", "min", "max", "std", "count", "unit"))
_PAIR = 2
_NOTHING = math.nan


@dataclass(frozen=True, slots=True)
class Samples:
    """What was read: finite values, oldest first, with their Unix seconds where all have one.

    `factor` makes base units of the values where they say themselves in which unit they are; else the name does.
    """

    values: Floats
    times: Floats | None = None
    factor: float | None = None


def read_samples(value: object, quantile: float | None) -> Samples:
    """Return the samples; without any value when nothing is readable.

    Args:
        value: In any of the shapes above.
        quantile: Which statistic stands for a whole where there are only statistics; None is the mean.
    """
    items, factor = _items(value, quantile, 3)
    values = np.array([item[1] for item in items], dtype=np.float64)
    times = np.array([item[0] for item in items], dtype=np.float64)
    there = np.isfinite(values)
    values, times = values[there], times[there]
    if not len(values) or not np.isfinite(times).all():
        return Samples(values, None, factor)
    order = np.argsort(times, kind="stable")
    return Samples(values[order], times[order], factor)


Items = list[tuple[float, float]]  # time and value, NaN for what is not known


def _items(value: object, quantile: float | None, depth: int) -> tuple[Items, float | None]:
    """Return time and value of every reading, and the factor of their unit where they name one."""
    if is_frame(value):
        value = _frame_items(value)
    elif is_series(value) and as_record(value) is None:
        value = list(zip(_index_times(value.index), np.asarray(value), strict=True))  # type: ignore[attr-defined]
    record = as_record(value)
    if record is not None:
        return _record_items(record, quantile, depth)
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "fiu":
        return [(_NOTHING, _float(one, MOST)) for one in value.tolist()], None
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return [(_NOTHING, read_number(value))], None
    found = [_reading(item) for item in _flat(value)]
    factors = {factor for _, _, factor in found}
    return [item[:2] for item in found], factors.pop() if len(factors) == 1 else None


def _flat(value: Iterable[Any]) -> Iterable[Any]:
    """Return the rows of anything that can be iterated; an array of one column is that column."""
    if isinstance(value, np.ndarray):
        array = np.squeeze(value) if value.ndim > 1 else np.atleast_1d(value)
        return array if array.ndim else [array.item()]
    return value


def _record_items(record: Mapping[str, Any], quantile: float | None, depth: int) -> tuple[Items, float | None]:
    """Return the readings of a mapping: statistics, columns, a nested list, `{time: value}`, or a single reading."""
    names = {normal(str(name)): name for name in record}
    named = {str(name): name for name in record}
    order = (*_UPPERS, *_MIDDLES) if quantile is not None else _MIDDLES
    nested = [name for name in _VALUES if name in names and _is_nested(record[names[name]])]
    if nested and depth:
        inner = record[names[nested[0]]]
        times = next((record[names[one]] for one in _TIMES if one in names and _is_nested(record[names[one]])), None)
        if times is not None:
            inner = list(zip(_plain_list(times), _plain_list(inner), strict=False))
        if nested[0] == "result":  # of Prometheus's API: one series
            inner = inner[0] if isinstance(inner, list) and len(inner) == 1 else ()
        return _items(inner, quantile, depth - 1)
    statistic = next((named[one] for one in order if one in named), None)
    if statistic is not None and set(names) & _STATISTICS and "value" not in names:
        unit = record.get("unit")
        number = read_number(record[statistic])
        return [(_NOTHING, number)], factor_of(unit) if isinstance(unit, str) else None
    moments = [read_moment(name) for name in record]
    if moments and all(math.isfinite(moment) for moment in moments):
        return list(zip(moments, map(read_number, record.values()), strict=True)), None
    found = _reading(record)
    return [found[:2]], found[2]


def _reading(item: Any) -> tuple[float, float, float | None]:
    """Return time, value and the factor of the unit of one reading."""
    if isinstance(item, float | int | str):  # the usual case
        return _NOTHING, read_number(item), None
    if isinstance(item, list | tuple | np.ndarray) and not hasattr(item, "_fields"):
        return (read_moment(item[0]), read_number(item[1]), None) if len(item) >= _PAIR else (_NOTHING, _NOTHING, None)
    record = as_record(item)
    if record is None:
        return _NOTHING, read_number(item), None
    names = {normal(str(name)): name for name in record}
    moment = next((read_moment(record[names[one]]) for one in names if one in _TIMES), _NOTHING)
    value = next((names[one] for one in _VALUES if one in names), None)
    if value is None:  # under a name of its own: the only number besides the time
        numbers = [
            name for one, name in names.items() if one not in _TIMES and math.isfinite(read_number(record[name]))
        ]
        value = numbers[0] if len(numbers) == 1 else None
        if value is None:
            return moment, _NOTHING, None
        own = measure(normal(str(value)))
        return moment, read_number(record[value]), own.factor if own.unit else None
    return moment, read_number(record[value]), None


def as_record(value: object) -> Mapping[str, Any] | None:
    """Return what has named parts as a mapping: a dictionary, a named tuple, a dataclass, a point with a value."""
    parts: Mapping[str, Any] | None = None
    if isinstance(value, Mapping):
        parts = value
    elif is_series(value):
        parts = _labelled(value)
    elif isinstance(value, np.void) and value.dtype.names:
        parts = {name: value[name].item() for name in value.dtype.names}
    elif hasattr(value, "_asdict"):
        parts = value._asdict()
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "value") and not isinstance(value, np.generic | np.ndarray):
        parts = {"value": value.value, "timestamp": getattr(value, "timestamp", None)}
    return parts


def _labelled(series: Any) -> dict[str, Any] | None:
    """Return a row of a table, or what describe() returns, by its labels; None for a column, whose labels are times."""
    labels = np.asarray(series.index).tolist()
    are_names = all(isinstance(label, str) and not math.isfinite(read_moment(label)) for label in labels)
    return dict(zip(labels, np.asarray(series).tolist(), strict=True)) if labels and are_names else None


def holds_measures(record: Mapping[str, Any]) -> bool:
    """Return whether a record has measures under their own names, and is neither a reading nor readings by time."""
    names = {normal(str(name)) for name in record}
    known = names & (_TIMES | _STATISTICS | set(_VALUES)) or {str(name) for name in record} & _STATISTICS
    return bool(names) and not known and not all(math.isfinite(read_moment(name)) for name in record)


def read_number(item: object) -> float:
    """Return a number, also one that is written as text; NaN for anything else, and for what is no measurement."""
    if isinstance(item, np.ndarray) and item.size == 1:
        item = item.item()
    if isinstance(item, str):
        item = item.strip()
        # float() takes more than numbers are written with: underscores, "nan" and "inf".
        if not item or not (item[-1].isdigit() or item[-1] == ".") or "_" in item:
            return _NOTHING
    elif isinstance(item, bool | np.bool_) or not isinstance(item, Real | Decimal | np.number):
        return _NOTHING
    return _float(item, MOST)


def _float(number: Any, most: float) -> float:
    """Return a number as a float; one beyond `most` is no measurement, and NaN."""
    try:
        value = float(number)
    except (OverflowError, ValueError, TypeError):
        return _NOTHING
    return value if abs(value) <= most else _NOTHING


def read_moment(stamp: object) -> float:
    """Return Unix seconds; NaN for what is no time."""
    if isinstance(stamp, np.datetime64):
        return float(stamp.astype("datetime64[ns]").astype(np.int64)) / _NANOSECONDS if stamp == stamp else _NOTHING  # noqa: PLR0124 # NaT
    if isinstance(stamp, date) and not isinstance(stamp, datetime):
        stamp = datetime.combine(stamp, time())
    try:
        if isinstance(stamp, datetime):
            return stamp.timestamp()
        if isinstance(stamp, str) and not math.isfinite(read_number(stamp)):
            return datetime.fromisoformat(stamp.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return _NOTHING
    seconds = read_number(stamp)
    while abs(seconds) >= LATEST:
        seconds /= 1000.0
    return seconds


def is_frame(value: object) -> bool:
    """Return whether a value is a table such as pandas's DataFrame."""
    return hasattr(value, "columns") and hasattr(value, "index") and hasattr(value, "to_numpy")


def is_series(value: object) -> bool:
    """Return whether a value is a column with an index such as pandas's Series."""
    return hasattr(value, "to_numpy") and hasattr(value, "index") and not callable(value.index)


def frame_columns(frame: Any) -> dict[str, Items]:
    """Return every column of a table with the times of its rows: of a column of times, else of the index."""
    columns = [str(name) for name in frame.columns]
    clock = next((name for name in frame.columns if normal(str(name)) in _TIMES), None)
    times = _index_times(frame.index) if clock is None else [read_moment(one) for one in np.asarray(frame[clock])]
    return {
        name: list(zip(times, np.asarray(frame[own]), strict=True))
        for name, own in zip(columns, frame.columns, strict=True)
        if own is not clock
    }


def _frame_items(frame: Any) -> list[Any]:
    """Return the one column that a table has besides its times; nothing where several could be meant."""
    columns = frame_columns(frame)
    chosen = next((name for name in columns if normal(name) in _VALUES), None)
    if chosen is None and len(columns) != 1:
        return []
    return columns[chosen if chosen is not None else next(iter(columns))]


def _index_times(index: Any) -> list[float]:
    """Return the Unix seconds of an index; NaN where it only counts rows."""
    labels = np.asarray(index)
    if labels.dtype.kind in "iu" and (labels == np.arange(len(labels))).all():
        return [_NOTHING] * len(labels)
    return [read_moment(one) for one in labels]


def _is_nested(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def _plain_list(value: Iterable[Any]) -> list[Any]:
    return list(value)
