"""Line plots as plain SVG: no script, no network, readable in any browser and in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 34
COLORS = ("#2563eb", "#d97706", "#dc2626", "#059669", "#7c3aed")
_TICKS = 5

Pairs = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Line:
    """One named series of points; a None is a gap."""

    name: str
    points: Pairs


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say, and how their values are written."""

    x_label: str
    y_label: str
    write_x: Callable[[float], str] = "{:.4g}".format
    write_y: Callable[[float], str] = "{:.4g}".format


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self) -> list[float]:
        span = self.high - self.low or 1.0
        step = 10 ** math.floor(math.log10(span / _TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= _TICKS)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def plot(title: str, lines: Sequence[Line], axes: Axes) -> str:
    """Return one figure with its legend."""
    xs = [x for line in lines for x, y in line.points if y is not None]
    ys = [y for line in lines for _, y in line.points if y is not None]
    if not xs:
        return f"<figure><figcaption>{escape(title)}</figcaption><p>No data.</p></figure>"
    across = _Scale(min(xs), max(xs), _LEFT, WIDTH - _RIGHT)
    upward = _Scale(min(0.0, *ys), max(ys) or 1.0, HEIGHT - _BOTTOM, _TOP)
    drawn = "".join(_draw(line, color, across, upward) for line, color in zip(lines, _colors(lines), strict=False))
    legend = " ".join(
        f'<span><i style="background:{color}"></i>{escape(line.name)}</span>'
        for line, color in zip(lines, _colors(lines), strict=False)
    )
    return (
        f"<figure><figcaption>{escape(title)} {legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{_grid(across, upward, axes)}{drawn}</svg></figure>"
    )


def _colors(lines: Sequence[Line]) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(len(lines))]


def _grid(across: _Scale, upward: _Scale, axes: Axes) -> str:
    parts = []
    for value in upward.ticks():
        y = upward.place(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{y + 4:.1f}">{escape(axes.write_y(value))}</text>')
    for value in across.ticks():
        x = across.place(value)
        parts.append(f'<text class="x" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 16}">{escape(axes.write_x(value))}</text>')
    parts.append(f'<text class="x" x="{WIDTH / 2}" y="{HEIGHT - 4}">{escape(axes.x_label)}</text>')
    parts.append(f'<text class="unit" x="4" y="{_TOP}">{escape(axes.y_label)}</text>')
    return "".join(parts)


def _draw(line: Line, color: str, across: _Scale, upward: _Scale) -> str:
    stretches: list[list[str]] = [[]]
    for x, y in line.points:
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{across.place(x):.1f},{upward.place(y):.1f}")
    return "".join(
        f'<polyline stroke="{color}" points="{" ".join(stretch)}"/>'
        if len(stretch) > 1
        else f'<circle fill="{color}" r="2" cx="{stretch[0].split(",")[0]}" cy="{stretch[0].split(",")[1]}"/>'
        for stretch in stretches
        if stretch
    )
