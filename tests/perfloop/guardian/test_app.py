"""The guardian's program: what ends it, and what it does then."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.guardian import app

if TYPE_CHECKING:
    from pathlib import Path


class NoPulse:
    """Nobody watches the guardian."""

    def stop(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(("lost", "code", "brought_back"), [(True, 0, 1), (False, 1, 0)])
def test_a_failure_while_supervisord_ends_brings_the_stack_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, lost: bool, code: int, brought_back: int
) -> None:
    """An answer breaks off when supervisord is killed: nobody would start the guardian again."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "run").mkdir()
    calls: list[Path] = []

    def fail(_: app.Guardian) -> None:
        parent = os.getppid()
        monkeypatch.setattr(os, "getppid", lambda: parent + 1 if lost else parent)
        raise ValueError("an answer that broke off")

    monkeypatch.setattr(sys, "argv", ["guardian", str(tmp_path)])
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setattr(app, "start_pulse", NoPulse)
    monkeypatch.setattr(app, "_write_own_log", lambda _: os.open(os.devnull, os.O_WRONLY))
    monkeypatch.setattr(app.Guardian, "run", fail)
    monkeypatch.setattr(app, "resurrect", lambda home, *_: calls.append(home))
    assert app.main() == code
    assert len(calls) == brought_back
