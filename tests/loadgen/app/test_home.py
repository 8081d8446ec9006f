"""Where the program keeps what outlives a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.app.home import home

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_home_is_where_the_stack_looks_for_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkout: Path):
    """PERFLOOP_HOME where it is set; else the checkout's own folder, from whichever folder a run is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "mine"))
    assert home() == tmp_path / "mine"
    monkeypatch.delenv("PERFLOOP_HOME")
    assert home() == checkout / ".perfloop"
