from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from perfloop_base.terminal import show, show_lines, shown, warn

if TYPE_CHECKING:
    import pytest

HOSTILE = "\x1b]0;title\x07 \u202e http://u:m4rked-S3cret@host"
SAFE = "\\x1b]0;title\\x07 \\u202e http://<secret>@host"


def test_nothing_reaches_a_terminal_as_it_came(capsys: pytest.CaptureFixture[str]):
    """Both streams show escapes for what a terminal would obey, no secret, and the lines of a text."""
    show(f"one\n{HOSTILE}")
    warn(HOSTILE)
    show_lines(["first\n", f"{HOSTILE}\n", "last"])
    assert capsys.readouterr() == (f"one\n{SAFE}\nfirst\n{SAFE}\nlast\n", f"{SAFE}\n")
    assert shown(HOSTILE) == SAFE


def test_a_terminal_without_unicode_shows_the_rest(monkeypatch: pytest.MonkeyPatch):
    """A character that the terminal's encoding lacks ends no command."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    show("5 µs \ud800")
    stream.seek(0)
    assert stream.buffer.read() == b"5 ? s \\ud800\n".replace(b"? s", b"?s")
