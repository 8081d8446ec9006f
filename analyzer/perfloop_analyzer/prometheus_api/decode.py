"""Prometheus's JSON as arrays: every sample at its place on the grid, and everything else refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import orjson

from perfloop_analyzer.errors import BadAnswer
from perfloop_analyzer.prometheus_api.histograms import reduce_histogram
from perfloop_analyzer.prometheus_api.refusals import cut, describe_page
from perfloop_analyzer.series import Batch, Floats, Grid, Labels

MOST_VALUES = 50_000_000
LOOK = 16_384  # bytes at each end of an answer: both lists have ten remarks at most
# What a program in front of Prometheus marks a partial answer with, and where Prometheus puts its own remarks.
_MARKS = (b'"isPartial"', b'"warnings"', b'"infos"')
_REMARK = "PromQL"
# Counters of postgres_exporter whose names have no `_total`: that they may be none is no news.
_KNOWN_COUNTERS = re.compile(r'PromQL info: metric might not be a counter.*"pg_stat_database_\w+"')


def decode_range(body: bytes, signal: str, grid: Grid, most: int = MOST_VALUES) -> Batch:
    """Return the series of a matrix response, every sample at its place on the grid.

    Samples outside the grid are dropped; infinities become NaN. A native histogram becomes the number that the signal's
    name asks for, see `reduce_histogram`.

    Raises:
        BadAnswer: The body is not a matrix response of the Prometheus API, or needs more than `most` values.
    """
    kind, result = _read_result(body, signal)
    if kind != "matrix" or not isinstance(result, list):
        raise BadAnswer(f"{signal}: the expression returns a {cut(kind)}, a range query needs a matrix")
    return decode_series(result, signal, grid, most)


def decode_series(result: list[Any], signal: str, grid: Grid, most: int = MOST_VALUES) -> Batch:
    """Return the series of a part of a matrix, see `decode_range`; `result` is its JSON as Python values.

    Raises:
        BadAnswer: A series cannot be read, or they need more than `most` values.
    """
    refuse_more(len(result), signal, grid, most)
    try:
        samples = [_samples(series, signal) for series in result]
        labels = tuple(_labels(series["metric"]) for series in result)
        values = _place(samples, grid)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(f"{signal}: a series has no readable values: {cut(error)}") from error
    return Batch(signal, grid, labels, values)


def refuse_more(series: int, signal: str, grid: Grid, most: int = MOST_VALUES) -> None:
    """Refuse so many series of a grid where they need more than `most` values.

    Raises:
        BadAnswer: They do.
    """
    if series * grid.points > most:
        raise BadAnswer(f"{signal}: {series} series of {grid.points} points are more than {most} values")


def _read_result(body: bytes, signal: str) -> tuple[Any, Any]:
    """Return the kind of a response's result and the result."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        page = describe_page(body)
        reason = f"it is {page}" if page else type(error).__name__
        raise BadAnswer(f"{signal}: the response is not a Prometheus response: {reason}") from error
    try:
        if answer.get("status") == "error":
            words = ": ".join(str(answer[name]) for name in ("errorType", "error") if answer.get(name))
            raise BadAnswer(f"{signal}: the response is an error: {cut(words or 'it gives no reason')}")
        return answer["data"]["resultType"], answer["data"]["result"]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadAnswer(f"{signal}: the response is not a Prometheus response: {type(error).__name__}") from error


def find_remarks(body: bytes) -> str:
    """Return what the sender of an answer says against it: that it is partial, warnings, remarks; empty for none."""
    # They stand outside the data; a look at the ends costs nothing where the whole would be read twice.
    if not any(mark in body[:LOOK] or mark in body[-LOOK:] for mark in _MARKS):
        return ""
    try:
        answer = orjson.loads(body)
        warnings, infos = _texts(answer.get("warnings")), _texts(answer.get("infos"))
        is_partial = answer.get("isPartial") is True
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    missing = [text for text in warnings if not text.startswith(_REMARK)]
    remarks = [text for text in (*warnings, *infos) if text not in missing and not _KNOWN_COUNTERS.match(text)]
    parts = []
    if missing or is_partial:
        parts.append(f"the answer is not whole: {cut('; '.join(missing)) or 'the server marks it as partial'}")
    if remarks:
        parts.append(f"the server remarks: {cut('; '.join(remarks))}")
    return "; ".join(parts)


def _texts(found: Any) -> list[str]:
    return [str(one) for one in found] if isinstance(found, list) else []


def _labels(metric: Any) -> Labels:
    if not isinstance(metric, dict) or not all(isinstance(value, str) for value in metric.values()):
        raise ValueError("its labels are not texts")
    return metric


def _samples(series: dict[str, Any], signal: str) -> list[Any]:
    samples = series.get("values") or []
    if histograms := series.get("histograms"):
        samples = [*samples, *([moment, reduce_histogram(one, signal)] for moment, one in histograms)]
    return samples


def _place(samples: list[list[Any]], grid: Grid) -> Floats:
    """Return the samples of each series at their places on the grid, NaN elsewhere, shape (series, points)."""
    # One array for all series: of answers about a few points, an array for each would be most of the work.
    flat = [sample for one in samples for sample in one]
    times = np.array([float(moment) for moment, _ in flat], dtype=np.float64)
    numbers = np.array([float(text) for _, text in flat], dtype=np.float64)
    rows = np.repeat(np.arange(len(samples)), [len(one) for one in samples])
    places = np.rint((times - grid.start) / grid.step)
    inside = (places >= 0) & (places < grid.points)
    values = np.full((len(samples), grid.points), np.nan)
    values[rows[inside], places[inside].astype(np.int64)] = numbers[inside]
    values[~np.isfinite(values)] = np.nan
    return values
