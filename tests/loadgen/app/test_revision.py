"""The commit that a report names, read from real repositories."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.app.revision import read_revision

if TYPE_CHECKING:
    from pathlib import Path


def _git(*words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    _git("init", "--quiet")
    (tmp_path / "file").write_text("a")
    _git("add", "file")
    _git("commit", "--quiet", "--message", "one")
    return tmp_path


def test_the_index_is_never_locked(repository: Path):
    """A command that is killed for its time would leave the lock behind: even an index that git would renew stays."""
    os.utime(repository / "file", (1, 1))
    index = repository / ".git" / "index"
    before = index.stat()
    assert not read_revision().endswith("-dirty")
    assert (index.stat().st_mtime_ns, index.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_the_revision_is_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With a mark while files differ from it; nothing outside a repository, nor in one without a commit."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    repository = tmp_path / "shop"
    repository.mkdir()
    monkeypatch.chdir(repository)
    assert read_revision() == ""
    _git("init", "-q")
    assert read_revision() == ""
    (repository / "a").write_text("1")
    _git("add", "a")
    _git("commit", "-q", "-m", "first")
    commit = _git("rev-parse", "HEAD")
    _git("tag", "v1.0")
    assert read_revision() == commit
    (repository / "a").write_text("2")
    assert read_revision() == f"{commit}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_revision() == ""
