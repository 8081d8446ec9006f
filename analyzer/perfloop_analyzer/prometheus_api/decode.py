"""Prometheus's JSON as arrays: every sample at its place on the grid, and everything else refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from perfloop_analyzer.errors import BadAnswer
from perfloop_analyzer.series import Batch, Floats, Grid, Labels
from perfloop_base.redaction import redact
from perfloop_base.visible import visible

MOST_VALUES = 50_000_000
LOOK = 4096  # bytes at each end of an answer
LONGEST_SENTENCE = 300
# What a program in front of Prometheus marks a partial answer with; Prometheus's own remarks begin with its name.
_PARTIAL = b'"isPartial":true'
_WARNINGS = b'"warnings"'
_REMARK = "PromQL"


def decode_range(body: bytes, signal: str, grid: Grid, most: int = MOST_VALUES) -> Batch:
    """Return the series of a matrix response, every sample at its place on the grid.

    Samples outside the grid are dropped; infinities become NaN.

    Raises:
        BadAnswer: The body is not a matrix response of the Prometheus API, or needs more than `most` values.
    """
    try:
        answer = orjson.loads(body)
        data = answer["data"]
        kind, result = data["resultType"], data["result"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadAnswer(f"{signal}: the response is not a Prometheus response: {type(error).__name__}") from error
    if answer.get("status") == "error":
        raise BadAnswer(f"{signal}: the response is an error: {_cut(answer.get('error'))}")
    if kind != "matrix" or not isinstance(result, list):
        raise BadAnswer(f"{signal}: the expression returns a {_cut(kind)}, a range query needs a matrix")
    if len(result) * grid.points > most:
        raise BadAnswer(f"{signal}: {len(result)} series of {grid.points} points are more than {most} values")
    try:
        rows = [_row(series, grid) for series in result]
        labels = tuple(_labels(series["metric"]) for series in result)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(f"{signal}: a series has no readable values: {_cut(error)}") from error
    values = np.vstack(rows) if rows else np.empty((0, grid.points))
    values[~np.isfinite(values)] = np.nan
    return Batch(signal, grid, labels, values)


def incomplete(body: bytes) -> str:
    """Return why an answer is not whole, as its sender says; empty for a whole one."""
    # Both stand outside the data; a look at the ends costs nothing where the whole would be read twice.
    if _PARTIAL not in body[:LOOK] and _WARNINGS not in body[:LOOK] and _WARNINGS not in body[-LOOK:]:
        return ""
    try:
        answer = orjson.loads(body)
        found = answer.get("warnings") or ()
        texts = [str(one) for one in found if not str(one).startswith(_REMARK)] if isinstance(found, list) else []
        return _cut("; ".join(texts)) or ("the server marks it as partial" if answer.get("isPartial") is True else "")
    except (orjson.JSONDecodeError, AttributeError):
        return ""


def _labels(metric: Any) -> Labels:
    if not isinstance(metric, dict) or not all(isinstance(value, str) for value in metric.values()):
        raise ValueError("its labels are not texts")
    return metric


def _cut(text: object) -> str:
    return visible(redact(str(text)[:LONGEST_SENTENCE]))


def _row(series: dict[str, Any], grid: Grid) -> Floats:
    samples = series.get("values") or []
    moments, texts = zip(*samples, strict=True) if samples else ((), ())
    values = np.array(texts, dtype=np.float64) if texts else np.empty(0)
    times = np.array(moments, dtype=np.float64)
    near = grid.step / 2
    # The usual case, a row without gaps, needs no placing.
    if len(samples) == grid.points and abs(times[0] - grid.start) < near and abs(times[-1] - grid.end) < near:
        return values
    row = np.full(grid.points, np.nan)
    places = np.rint((times - grid.start) / grid.step)
    inside = (places >= 0) & (places < grid.points)
    row[places[inside].astype(np.int64)] = values[inside]
    return row


def error_sentence(body: bytes, status: int) -> str:
    """Return the error that Prometheus reported, cut to 300 characters."""
    try:
        answer = orjson.loads(body)
        words = f"{answer['errorType']}: {answer['error']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        words = body[:120].decode("utf-8", "replace") or "no text"
    return f"HTTP {status}, {_cut(words)}"
