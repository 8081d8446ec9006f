"""The directory of worker processes: derived from the parent, removed after it ended, and never another user's."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.instrument import worker_directory
from perfloop_exporter.instrument.worker_directory import shared_directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this process a worker, with a PERFLOOP_HOME of its own."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    monkeypatch.delenv("PERFLOOP_WORKERS_DIR", raising=False)
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    return tmp_path


def test_a_process_alone_has_no_directory():
    """A single process writes nothing."""
    assert shared_directory() is None


def test_siblings_find_the_same_directory(home: Path):
    """Only their user can read it."""
    directory = shared_directory()
    assert directory is not None
    assert directory == shared_directory()
    assert directory.parent.parent == home
    assert [path.stat().st_mode & 0o777 for path in (directory, directory.parent)] == [0o700, 0o700]


def test_the_directory_can_be_set(home: Path, monkeypatch: pytest.MonkeyPatch):
    """PERFLOOP_WORKERS_DIR sets the directory for any server."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(home / "mine" / "here"))
    assert shared_directory() == home / "mine" / "here"
    assert (home / "mine" / "here").is_dir()


def test_directories_of_ended_servers_are_removed(home: Path):
    """A directory is removed when its server has ended, also when its id was reused; all others are kept."""
    directory = shared_directory()
    assert directory is not None
    namespace = directory.name.partition("-")[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    dead = directory.parent / f"{namespace}-{ended.pid}-12345"
    reused = directory.parent / f"{namespace}-{os.getpid()}-1"
    elsewhere = directory.parent / f"{int(namespace) + 1}-1-1"
    strange = directory.parent / f"{namespace}-strange"
    for made in (dead, reused, elsewhere, strange):
        made.mkdir()
        (made / "1.json").write_text("[]")
    assert shared_directory() == directory
    assert [path.exists() for path in (directory, dead, reused, elsewhere, strange)] == [True, False, False, True, True]


def test_a_directory_of_another_user_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Its owner could forge metrics: each worker exports only its own, and one line of the log says why."""
    directory = shared_directory()
    assert directory is not None
    somebody_else = os.getuid() + 1
    monkeypatch.setattr(worker_directory.os, "getuid", lambda: somebody_else)
    other = home / f"perfloop-workers-{os.getuid()}"
    other.mkdir(exist_ok=True)
    assert shared_directory() is None
    assert f"each exports only its own: {other} belongs to another user" in caplog.text


def test_a_directory_that_cannot_be_created_is_logged(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """There is no directory, and no exception."""
    (home / "file").write_text("")
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(home / "file"))
    assert shared_directory() is None
    assert "Workers cannot share their metrics, each exports only its own" in caplog.text
