"""Where workers meet: found by their parent, swept when it is gone, and never another user's."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.instrument import worker_folder
from perfloop_exporter.instrument.worker_folder import shared_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process as a worker, with a place of its own for what workers leave."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    monkeypatch.delenv("PERFLOOP_WORKERS_DIR", raising=False)
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    return tmp_path


def test_a_process_alone_has_no_folder():
    """Nothing is written where nobody shares."""
    assert shared_folder() is None


def test_siblings_find_the_same_folder(home: Path):
    """It is theirs alone."""
    folder = shared_folder()
    assert folder is not None
    assert folder == shared_folder()
    assert folder.parent.parent == home
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]


def test_a_given_folder_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch):
    """Any server can be told where its workers meet."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(home / "mine" / "here"))
    assert shared_folder() == home / "mine" / "here"
    assert (home / "mine" / "here").is_dir()


def test_what_dead_servers_left_is_swept(home: Path):
    """A folder whose server is gone, or whose id another process has now, goes; others stay."""
    folder = shared_folder()
    assert folder is not None
    namespace = folder.name.partition("-")[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    dead = folder.parent / f"{namespace}-{ended.pid}-12345"
    reused = folder.parent / f"{namespace}-{os.getpid()}-1"
    elsewhere = folder.parent / f"{int(namespace) + 1}-1-1"
    strange = folder.parent / f"{namespace}-strange"
    for made in (dead, reused, elsewhere, strange):
        made.mkdir()
        (made / "1.json").write_text("[]")
    assert shared_folder() == folder
    assert [path.exists() for path in (folder, dead, reused, elsewhere, strange)] == [True, False, False, True, True]


def test_a_folder_of_another_user_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Who could write there could make up our numbers: each worker answers for itself, and one line says why."""
    folder = shared_folder()
    assert folder is not None
    somebody_else = os.getuid() + 1
    monkeypatch.setattr(worker_folder.os, "getuid", lambda: somebody_else)
    other = home / f"perfloop-workers-{os.getuid()}"
    other.mkdir(exist_ok=True)
    assert shared_folder() is None
    assert f"each answers for itself alone: {other} belongs to another user" in caplog.text


def test_a_place_that_cannot_be_written_is_told_of(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """No folder, no failure."""
    (home / "file").write_text("")
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(home / "file"))
    assert shared_folder() is None
    assert "Workers cannot share their metrics, so each answers for itself alone" in caplog.text
