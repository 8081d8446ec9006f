"""Small plots as inline SVG: a line over time with its limit and its band; no script, no file beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from perfloop_analyzer.catalog.units import quantity
from perfloop_analyzer.reporters.formatting import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.series import Floats

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 180, 76, 22, 10
MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class Plot:
    """What one plot shows."""

    title: str
    unit: str
    times: Floats
    values: Floats
    limit: float | None = None
    marks: Sequence[float] = ()


def draw(plot: Plot) -> Markup:
    """Return the plot as SVG; gaps stay gaps."""
    there = np.isfinite(plot.values)
    if not there.any():
        return Markup("<p><small>no data</small></p>")
    low, high = _range(plot, plot.values[there])
    lines = "".join(
        f'<polyline points="{points}" fill="none" stroke="#2563eb" stroke-width="1.5"/>'
        for points in _lines(plot, low, high)
    )
    parts = [lines, _axis(plot, low, high)]
    if plot.limit is not None:
        y = _y(plot.limit, low, high)
        parts.append(_rule(LEFT, WIDTH, y, y, "#cf222e") + _text(WIDTH - 4, y - 4, "limit", "end"))
    for moment in plot.marks:
        x = _x(moment, plot.times)
        parts.append(_rule(x, x, TOP, HEIGHT - BOTTOM, "#9a6700"))
    return Markup(  # noqa: S704 - every text in it is escaped by _text, the rest are numbers
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(plot.title)}">{"".join(parts)}</svg>'
    )


def _range(plot: Plot, values: Floats) -> tuple[float, float]:
    ends = [float(values.min()), float(values.max()), *([plot.limit] if plot.limit is not None else [])]
    low, high = min(ends), max(ends)
    low = min(0.0, low) if low < 0.5 * high else low
    pad = (high - low or abs(high) or 1.0) * 0.06
    return low - (pad if low else 0.0), high + pad


def _x(moment: float, times: Floats) -> float:
    span = float(times[-1] - times[0]) or 1.0
    return LEFT + (WIDTH - LEFT) * float(moment - times[0]) / span


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)


def _lines(plot: Plot, low: float, high: float) -> list[str]:
    stride = max(1, len(plot.values) // MOST_POINTS)
    runs: list[list[str]] = [[]]
    for moment, value in zip(plot.times[::stride], plot.values[::stride], strict=True):
        if np.isfinite(value):
            runs[-1].append(f"{_x(moment, plot.times):.1f},{_y(value, low, high):.1f}")
        elif runs[-1]:
            runs.append([])
    return [" ".join(run if len(run) > 1 else run * 2) for run in runs if run]


def _axis(plot: Plot, low: float, high: float) -> str:
    rows = [low, (low + high) / 2, high]
    texts = [_text(LEFT - 6, _y(row, low, high) + 4, quantity(row, plot.unit), "end") for row in rows]
    rules = [_rule(LEFT, WIDTH, _y(row, low, high), _y(row, low, high), "#8883") for row in rows]
    ends = [
        _text(LEFT, HEIGHT - 6, clock(float(plot.times[0])), "start"),
        _text(WIDTH - 4, HEIGHT - 6, clock(float(plot.times[-1])), "end"),
    ]
    return "".join(rules + texts + ends)


def _rule(x1: float, x2: float, y1: float, y2: float, color: str) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-dasharray="4 3"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="11" fill="currentColor" text-anchor="{anchor}"'
    return f"<text {place}>{escape(words)}</text>"
