from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.plots import Axes, Line, Notes, draw, figure


def shapes(svg: str, name: str) -> list[ET.Element]:
    """Return every element of one name, in a document that must be well formed."""
    return ET.fromstring(svg).findall(f".//{name}")


def points_of(svg: str) -> list[tuple[float, float]]:
    """Return the places of all lines together."""
    pairs = " ".join(line.attrib["points"] for line in shapes(svg, "polyline")).split()
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in pairs)]


def test_gaps_stay_gaps():
    """None and NaN break a line; a lonely point is a dot."""
    line = Line("a", [(0, 1.0), (1, 2.0), (2, None), (3, 3.0), (4, math.nan), (5, 1.0), (6, 2.0)])
    svg = draw("title", [line], Axes())
    assert (len(shapes(svg, "polyline")), len(shapes(svg, "circle"))) == (2, 1)


def test_every_text_is_escaped():
    """Names of users are shown, not obeyed."""
    evil = "<script>&\"'"
    page = figure(evil, [Line(evil, [(0, 1), (1, 2)])], Axes(evil, evil, lambda _: evil, lambda _: evil))
    assert "<script" not in page
    assert ET.fromstring(page).find(".//svg") is not None
    assert next(ET.fromstring(page).iter("svg")).attrib["aria-label"] == evil


@pytest.mark.parametrize("points", [[], [(0, None)], [(0, math.nan)], [(0, math.inf)]])
def test_no_data_is_said(points: list[tuple[float, float | None]]):
    """A plot without a number says so."""
    assert "no data" in draw("title", [Line("a", points)], Axes())


def test_limit_and_marks():
    """A limit above the line is within the picture, with its word; a mark stands at its moment."""
    svg = draw("t", [Line("a", [(0, 1.0), (10, 2.0)])], Axes(), Notes(limit=8.0, marks=[5.0]))
    dashed = [line for line in shapes(svg, "line") if "stroke-dasharray" in line.attrib]
    assert len(dashed) == 2
    assert all(0 <= float(line.attrib[key]) <= 220 for line in dashed for key in ("y1", "y2"))
    assert ">limit 8<" in svg
    mark = next(line for line in dashed if line.attrib["x1"] == line.attrib["x2"])
    assert float(mark.attrib["x1"]) == pytest.approx((76 + 748) / 2)


def test_a_long_line_keeps_its_peaks():
    """Of a hundred thousand points few are drawn, the one spike among them."""
    values = [(float(x), 100.0 if x == 71_234 else 1.0) for x in range(100_000)]
    drawn = points_of(draw("t", [Line("a", values)], Axes()))
    assert len(drawn) <= 602
    assert min(y for _, y in drawn) == 16.0
    assert drawn == sorted(drawn, key=lambda point: point[0])


def test_a_level_that_varies_little_fills_the_height():
    """Without the zero, small changes are seen; with it, the size."""
    line = Line("a", [(x, 100 + x % 3) for x in range(9)])
    heights = {
        zero: max(ys) - min(ys)
        for zero in (True, False)
        if (ys := [y for _, y in points_of(draw("t", [line], Axes(from_zero=zero)))])
    }
    assert heights[False] > 100
    assert heights[True] < 10


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e-12, 1e15])
def test_a_flat_line_is_drawn(value: float):
    """A line without a range has a place."""
    svg = draw("t", [Line("a", [(0, value), (1, value)])], Axes(from_zero=False))
    assert all(0 <= y <= 220 for _, y in points_of(svg))


def words_of(svg: str) -> list[str]:
    """Return the texts of a picture."""
    return [str(found.text) for found in shapes(svg, "text")]


@pytest.mark.parametrize(
    ("start", "seconds", "first", "last"),
    [
        (1_700_000_003.0, 60.0, "22:13:30", "22:14:20"),
        (1_700_000_003.0, 3600.0, "22:20", "23:10"),
        (1_700_000_003.0, 7200.0, "22:30", "11-15 00:00"),
        (1_700_000_003.0, 7 * 86_400.0, "2023-11-15", "2023-11-21"),
    ],
)
def test_moments_are_round(start: float, seconds: float, first: str, last: str):
    """Ticks stand at whole minutes, hours or days; the axis says that they are UTC, and of which day."""
    points = [(start + x * seconds / 99, 1.0) for x in range(100)]
    words = words_of(draw("t", [Line("a", points)], Axes(moments=True)))
    ticks = [
        word for word in words if re.fullmatch(r"[\d-]*:?[\d: -]+", word) and (":" in word or word.count("-") == 2)
    ]
    assert (ticks[0], ticks[-1]) == (first, last)
    assert 3 <= len(ticks) <= 8
    assert "UTC, 2023-11-14" in words


def test_values_have_their_unit_and_differ():
    """Steps of 1, 2 and 5 with the unit; a line between 99.91% and 99.95% has labels that differ."""
    words = words_of(draw("t", [Line("a", [(0, 0.0), (1, 0.9)])], Axes(unit="seconds")))
    assert words[:5] == ["0 s", "200 ms", "400 ms", "600 ms", "800 ms"]
    words = words_of(draw("t", [Line("a", [(0, 0.9991), (1, 0.9995)])], Axes(unit="ratio", from_zero=False)))
    values = [word for word in words if word.endswith("%")]
    assert len(values) == len(set(values)) >= 4


def test_a_far_limit_is_named_and_does_not_flatten_the_line():
    """Twenty milliseconds below a limit of a second fill the height."""
    svg = draw("t", [Line("a", [(0, 0.01), (1, 0.02)])], Axes(unit="seconds"), Notes(limit=1.0))
    assert "limit 1 s, above this picture" in words_of(svg)
    assert min(y for _, y in points_of(svg)) == 16.0
    flat = draw("t", [Line("a", [(0, 0.0), (1, 0.0)])], Axes(unit="ratio"), Notes(limit=0.05))
    assert "limit 5%" in words_of(flat)


def test_lines_differ_in_colour():
    """As many as there are colours, and none has the limit's."""
    svg = draw("t", [Line(str(n), [(0, n), (1, n)]) for n in range(7)], Axes(), Notes(limit=3.0))
    colours = [line.attrib["stroke"] for line in shapes(svg, "polyline")]
    limit = next(line.attrib["stroke"] for line in shapes(svg, "line") if "stroke-dasharray" in line.attrib)
    assert len({*colours, limit}) == 8


@given(st.lists(st.tuples(st.floats(0, 1e9), st.none() | st.floats(-1e12, 1e12)), max_size=50), st.booleans())
def test_every_point_is_in_the_picture(points: list[tuple[float, float | None]], from_zero: bool):  # noqa: FBT001 - drawn by hypothesis
    """Whatever the numbers, the SVG parses and stays inside its box."""
    svg = draw("t", [Line("a", sorted(points, key=lambda point: point[0]))], Axes(from_zero=from_zero))
    ET.fromstring(svg)
    for x, y in points_of(svg) if svg.startswith("<svg") else ():
        assert 76 <= x <= 748
        assert 16 <= y <= 186
