from __future__ import annotations

from pathlib import Path

import pytest

from perfloop.stack.files import list_files, move_changed, replace_files


def test_files_are_replaced_with_their_mode(tmp_path: Path) -> None:
    """A file that is replaced keeps its mode: the containers' users must still read it."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o604)
    replace_files(tmp_path, {Path("a"): "new", Path("b/c"): "fresh"})
    assert {str(name): (tmp_path / name).read_text() for name in list_files(tmp_path)} == {"a": "new", "b/c": "fresh"}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o604


def test_nothing_is_replaced_when_one_cannot_be_written(tmp_path: Path) -> None:
    """A directory that cannot be made leaves every other file as it was, and no rest."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(OSError, match="file"):
        replace_files(tmp_path, {Path("a"): "new", Path("file/b"): "x"})
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file"]


def test_only_what_changed_is_moved(tmp_path: Path) -> None:
    """The same file keeps its time of change; what is gone from the source goes from the target."""
    source, target = tmp_path / "source", tmp_path / "target"
    replace_files(source, {Path("same"): "1", Path("new"): "2", Path("changed"): "3"})
    replace_files(target, {Path("same"): "1", Path("changed"): "0", Path("gone"): "4"})
    before = (target / "same").stat().st_mtime_ns
    assert move_changed(source, target) == [Path("changed"), Path("new"), Path("gone")]
    assert {str(name): (target / name).read_text() for name in list_files(target)} == {
        "same": "1",
        "new": "2",
        "changed": "3",
    }
    assert (target / "same").stat().st_mtime_ns == before
    assert not source.exists()
