"""From the bytes of a range response to arrays. NaN, Inf and gaps are allowed; incomplete JSON is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from perfloop_analyzer.errors import BadAnswer
from perfloop_analyzer.series import Batch, Floats, Grid, Labels


def decode_range(body: bytes, signal: str, grid: Grid) -> Batch:
    """Return the series of a matrix response, every sample at its place on the grid.

    Samples outside the grid are dropped; infinities become NaN.

    Raises:
        BadAnswer: The body is not a matrix response of the Prometheus API.
    """
    try:
        answer = orjson.loads(body)
        data = answer["data"]
        kind, result = data["resultType"], data["result"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadAnswer(f"{signal}: the response is not a Prometheus response: {type(error).__name__}") from error
    if kind != "matrix" or not isinstance(result, list):
        raise BadAnswer(f"{signal}: the expression returns a {kind}, a range query needs a matrix")
    try:
        rows = [_row(series, grid) for series in result]
        labels: tuple[Labels, ...] = tuple(series["metric"] for series in result)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswer(f"{signal}: a series has no readable values: {error}") from error
    values = np.vstack(rows) if rows else np.empty((0, grid.points))
    values[~np.isfinite(values)] = np.nan
    return Batch(signal, grid, labels, values)


def _row(series: dict[str, Any], grid: Grid) -> Floats:
    samples = series.get("values") or []
    times, texts = zip(*samples, strict=True) if samples else ((), ())
    values = np.array(texts, dtype=np.float64) if texts else np.empty(0)
    # The usual case, a row without gaps, needs no placing.
    if len(samples) == grid.points and abs(times[0] - grid.start) < grid.step / 2:
        return values
    row = np.full(grid.points, np.nan)
    places = np.rint((np.array(times, dtype=np.float64) - grid.start) / grid.step).astype(np.int64)
    inside = (places >= 0) & (places < grid.points)
    row[places[inside]] = values[inside]
    return row


def error_sentence(body: bytes, status: int) -> str:
    """Return the error that Prometheus reported, cut to 300 characters."""
    try:
        answer = orjson.loads(body)
        words = f"{answer['errorType']}: {answer['error']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        words = body[:120].decode("utf-8", "replace") or "no text"
    return f"HTTP {status}, {words[:300]}"
