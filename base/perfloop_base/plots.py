"""Line plots as inline SVG: no script, no style sheet, no network; readable in any browser and in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from perfloop_base.quantities import quantity
from perfloop_base.time_axis import day_of, moment_ticks

_WIDTH, _HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 12, 16, 34
# Each has a contrast of 3 or more on a light and on a dark page. None is red: that is the limit's.
_COLORS = ("#4178f0", "#d97706", "#0e8a6d", "#9061f0", "#c2378f", "#0891b2", "#8a7400")
_GRID, _LIMIT, _MARK = "#8884", "#dc2626", "#8a7400"
_FONT = 13  # of a picture that a narrow page shows at three quarters of its size
_TICKS = 5
_MOST_DIGITS = 9
# A limit farther from the line than this many times its height is named, not drawn: the line would be flat.
_FAR = 5.0
_EDGE = 40  # a label nearer to an end of the picture does not reach beyond it
# More points than pixels cannot be seen; of a longer line the lowest and the highest point of each part are drawn.
_MOST_POINTS = 600
# A line that stays in the upper half of its scale is drawn without the space below it.
_LOWEST_SHARE = 0.5
_PADDING = 0.06

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Line:
    """One named series of points by rising x; None or NaN is a gap."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say, and how their values are written."""

    x_label: str = ""
    y_label: str = ""
    write_x: Callable[[float], str] = "{:.4g}".format
    write_y: Callable[[float], str] = "{:.4g}".format
    from_zero: bool = True  # else a line that varies little fills the height
    moments: bool = False  # x is Unix seconds: ticks are round times of day
    unit: str | None = None  # of y, a base unit: instead of `write_y`


@dataclass(frozen=True, slots=True)
class Notes:
    """What is drawn over the lines: a horizontal limit, and vertical marks at moments of x."""

    limit: float | None = None
    marks: Sequence[float] = ()


def figure(title: str, lines: Sequence[Line], axes: Axes, notes: Notes | None = None) -> str:
    """Return a plot under its title and legend."""
    legend = "".join(
        f'<span><i style="background:{color}"></i>{escape(line.name)}</span> '
        for line, color in zip(lines, _colors(lines), strict=True)
    )
    return f"<figure><figcaption>{escape(title)} {legend}</figcaption>{draw(title, lines, axes, notes)}</figure>"


def draw(title: str, lines: Sequence[Line], axes: Axes, notes: Notes | None = None) -> str:
    """Return the lines as one SVG element; every text in it is escaped."""
    notes = notes or Notes()
    stretches = [list(_stretches(line.points)) for line in lines]
    points = [point for own in stretches for stretch in own for point in stretch]
    if not points:
        return "<p><small>no data</small></p>"
    xs, ys = [x for x, _ in points], [y for _, y in points]
    across = _Scale(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    low, high = _range(ys if _is_far(notes.limit, ys) else [*ys, notes.limit or 0.0], from_zero=axes.from_zero)
    upward = _Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(across, upward, axes)]
    for own, color in zip(stretches, _colors(lines), strict=True):
        parts += [_draw_stretch(stretch, color, across, upward) for stretch in own]
    parts += _draw_limit(notes.limit, upward, axes)
    parts += _draw_marks(notes.marks, across)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round numbers, about _TICKS of them."""
        span = self.high - self.low or 1.0
        step: float = 10 ** math.floor(math.log10(span / _TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= _TICKS)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _is_far(limit: float | None, values: Sequence[float]) -> bool:
    """Return whether a limit is not drawn: there is none, or the line would be flat beside it."""
    return limit is None or (abs(limit) > _FAR * max(map(abs, values)) > 0)


def _colors(lines: Sequence[Line]) -> list[str]:
    return [_COLORS[number % len(_COLORS)] for number in range(len(lines))]


def _range(values: Sequence[float], *, from_zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if from_zero or low < _LOWEST_SHARE * high:
        low = min(0.0, low)
    pad = 0.0 if from_zero else (high - low or abs(high)) * _PADDING
    low, high = low - (pad if low else 0.0), high + pad
    return low, high if high > low else low + 1.0


def _stretches(points: Points) -> Iterator[list[tuple[float, float]]]:
    """Yield the runs of points between gaps, thinned to what can be seen."""
    size = 2 * math.ceil(len(points) / _MOST_POINTS)
    stretch: list[tuple[float, float]] = []
    for x, y in [*points, (0.0, None)]:
        if y is not None and math.isfinite(y):
            stretch.append((float(x), float(y)))
        elif stretch:
            yield stretch if len(points) <= _MOST_POINTS else list(_thinned(stretch, size))
            stretch = []


def _thinned(stretch: Sequence[tuple[float, float]], size: int) -> Iterator[tuple[float, float]]:
    for start in range(0, len(stretch), size):
        part = stretch[start : start + size]
        yield from sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})


def _draw_stretch(stretch: Sequence[tuple[float, float]], color: str, across: _Scale, upward: _Scale) -> str:
    places = [(across.place(x), upward.place(y)) for x, y in stretch]
    if len(places) == 1:
        return f'<circle fill="{color}" r="2" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}"/>'
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{joined}"/>'


def _grid(across: _Scale, upward: _Scale, axes: Axes) -> Iterator[str]:
    for value, words in _labels(upward.ticks(), axes):
        y = upward.place(value)
        yield _rule((_LEFT, _WIDTH - _RIGHT), (y, y), _GRID)
        yield _text(_LEFT - 6, y + 4, words, "end")
    x_label = axes.x_label or (f"UTC, {day_of(across.low)}" if axes.moments else "")
    ticks = moment_ticks(across.low, across.high) if axes.moments else [(x, axes.write_x(x)) for x in across.ticks()]
    for value, words in ticks:
        x = across.place(value)
        yield _text(x, _HEIGHT - _BOTTOM + 16, words, "end" if x > _WIDTH - _RIGHT - _EDGE else "middle")
    yield _text(_WIDTH / 2, _HEIGHT - 4, x_label, "middle")
    yield _text(4, _TOP - 4, axes.y_label, "start")


def _labels(values: Sequence[float], axes: Axes) -> list[tuple[float, str]]:
    """Return the ticks of y as people write them, with as many digits as make them differ."""
    if axes.unit is None:
        return [(value, axes.write_y(value)) for value in values]
    for digits in range(3, _MOST_DIGITS):
        words = [quantity(value, axes.unit, digits) for value in values]
        if len(set(words)) == len(words):
            break
    return list(zip(values, words, strict=True))


def _draw_limit(limit: float | None, upward: _Scale, axes: Axes) -> Iterator[str]:
    if limit is None:
        return
    words = f"limit {axes.write_y(limit) if axes.unit is None else quantity(limit, axes.unit)}"
    if not upward.low <= limit <= upward.high:
        side = "above" if limit > upward.high else "below"
        yield _text(_LEFT + 4, _TOP - 4, f"{words}, {side} this picture", "start")
        return
    y = upward.place(limit)
    yield _rule((_LEFT, _WIDTH - _RIGHT), (y, y), _LIMIT)
    # At the beginning: what is wrong is more often at the end.
    yield _text(_LEFT + 4, y - 4 if y > _TOP + _FONT else y + _FONT, words, "start")


def _draw_marks(moments: Sequence[float], across: _Scale) -> Iterator[str]:
    for moment in moments:
        if not across.low <= moment <= across.high:
            continue  # it began before the picture does
        x = across.place(moment)
        yield _rule((x, x), (_TOP, _HEIGHT - _BOTTOM), _MARK)


def _rule(xs: tuple[float, float], ys: tuple[float, float], color: str) -> str:
    dashes = "" if color is _GRID else ' stroke-width="1.5" stroke-dasharray="4 3"'
    ends = f'x1="{xs[0]:.1f}" x2="{xs[1]:.1f}" y1="{ys[0]:.1f}" y2="{ys[1]:.1f}"'
    return f'<line {ends} stroke="{color}"{dashes}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    if not words:
        return ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{_FONT}" fill="currentColor" text-anchor="{anchor}"'
    return f"<text {place}>{escape(words)}</text>"
