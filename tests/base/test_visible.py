from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.visible import csv_cell, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 漢字, 🚀", "plain, ünïcode, 漢字, 🚀"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m\x7f\x00\x85", r"\x9b31m\x7f\x00\x85"),
        ("\u202eabc\u2066d\u200f", r"\u202eabc\u2066d\u200f"),
        ("a\u200bb\u2060c\ufeff\u00ad", r"a\u200bb\u2060c\ufeff\xad"),
        ("one\u2028two\u2029three", r"one\u2028two\u2029three"),
        ("one\ntwo\r\nthree\t", r"one\ntwo\r\nthree\t"),
        ("\ud800 and \udfff", r"\ud800 and \udfff"),
        ("tag\U000e0041 \U000e0100 \ufe0f \u3164 \u115f \u034f \u2800", None),
        ("\xa0\u202f\u3000", r"\xa0\u202f\u3000"),
    ],
)
def test_what_does_not_print_is_an_escape(text: str, shown: str | None):
    """Nothing is obeyed by a terminal, nothing is hidden from a reader, and everything else stays."""
    assert (shown or r"tag\U000e0041 \U000e0100 \ufe0f \u3164 \u115f \u034f \u2800") == visible(text)


def test_newlines_may_stay():
    """A text of several lines keeps its line feeds and nothing else."""
    assert visible("a\nb\r\n\x1b\u2028", newlines=True) == "a\nb\\r\n\\x1b\\u2028"


@given(st.text(st.characters()))
def test_any_text_becomes_printable(text: str):
    """The result prints, can be encoded, and is its own result."""
    shown = visible(text)
    assert shown.isprintable()
    assert shown == visible(shown)
    shown.encode()
    assert visible(text, newlines=True).replace("\n", "").isprintable()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_a_cell_is_no_formula(start: str):
    """What a spreadsheet would run begins with an apostrophe; other cells stay."""
    assert f"'{start}1+1" == csv_cell(f"{start}1+1")
    assert csv_cell(f"a{start}") == f"a{start}"
    assert csv_cell("") == ""
