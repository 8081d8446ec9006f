"""Rows of a board: a collapsed one is a heading until it is opened, and its panels keep their numbers and places."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, build_dashboard, evenly, locate_signals
from perfloop_boards.panels import About, AnyPanel, figure
from perfloop_boards.queries import Query
from tests.grafana.boards import open_rows
from tests.grafana.test_browser import WITH_DETAILS


def make(title: str) -> AnyPanel:
    """A panel of that title."""
    return figure(About(title, "Good: any.", "none", "no data"), Query("up"), colours.TRAFFIC)


def build(*rows: Row, **signals: AnyPanel) -> tuple[dict[str, Any], Board]:
    """The JSON of a board of these rows, and the board."""
    board = Board("one", "One", "Which?", rows, related=(), signals=signals)
    encoded: dict[str, Any] = json.loads(JSONEncoder().encode(build_dashboard(board, {})))
    return encoded, board


def test_a_collapsed_row_takes_one_line_and_holds_its_panels():
    """The next row follows directly; the panels inside lie where they are when the row is opened."""
    board, _ = build(
        Row(4, evenly(make("a"), make("b"))),
        Row(7, evenly(make("c"), make("d")), title="Details", collapsed=True),
        Row(5, evenly(make("e")), title="More"),
    )
    top = [(panel["type"], panel["title"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert top == [("stat", "a", 0), ("stat", "b", 0), ("row", "Details", 4), ("row", "More", 5), ("stat", "e", 6)]
    details = board["panels"][2]
    assert details["collapsed"]
    assert [(one["title"], one["gridPos"]["x"], one["gridPos"]["y"]) for one in details["panels"]] == [
        ("c", 0, 5),
        ("d", 12, 5),
    ]


def test_what_is_too_wide_for_a_line_goes_on_below():
    """Four panels of half the width are two lines."""
    board, _ = build(Row(6, [(12, make(name)) for name in "abcd"], title="Many", collapsed=True))
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in open_rows(board)]
    assert places == [(0, 1), (12, 1), (0, 7), (12, 7)]


def test_every_panel_has_its_own_number_also_inside_a_collapsed_row():
    """An alert's link opens the panel of its signal by that number."""
    wanted = make("d")
    board, made = build(
        Row(4, evenly(make("a"), make("b"))),
        Row(7, evenly(make("c"), wanted), title="Details", collapsed=True),
        Row(7, evenly(make("e"))),
        x=wanted,
    )
    numbers = {panel["title"]: panel["id"] for panel in open_rows(board)}
    assert numbers == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert locate_signals(made) == {"x": {"uid": "one", "panel": 4}}


def test_the_browser_opens_every_collapsed_row(boards: dict[str, dict[str, Any]]):
    """A board with such rows is on the list of the test that opens them."""
    assert {uid for uid, board in boards.items() if any(one.get("panels") for one in board["panels"])} == {
        *WITH_DETAILS
    }
