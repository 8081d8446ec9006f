"""One archive: consistent while programs write, its owner's alone, whole or not at all, and any damage seen."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import tarfile
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop.backup import archive
from perfloop.backup.archive import MANIFEST, copy_database, unpack, write_archive
from perfloop.backup.contents import ANALYZER, CONFIGURATION, Source
from perfloop.backup.errors import BackupError, NotWrittenError

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000.0


def make_database(path: Path, rows: int = 100) -> None:
    """Make a database with a table of pairs that always agree."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE pairs (one INTEGER, other INTEGER)")
        connection.executemany("INSERT INTO pairs VALUES (?, ?)", [(at, at) for at in range(rows)])


def make_archive(directory: Path) -> Path:
    """Make an archive of a database and a file."""
    make_database(directory / "db")
    (directory / "thresholds.yml").write_text("signals: []\n")
    sources = [
        Source(ANALYZER, "analyzer/analyzer.sqlite", directory / "db"),
        Source(CONFIGURATION, "configuration/thresholds.yml", directory / "thresholds.yml"),
    ]
    target = directory / "backup.tar.gz"
    write_archive(target, sources, {}, NOW)
    return target


def test_an_archive_comes_back_whole(tmp_path: Path):
    """Every file with its content, by its owner alone; the database is one."""
    target = make_archive(tmp_path)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    manifest = unpack(target, tmp_path / "out")
    assert (manifest.made_at, manifest.groups) == (NOW, (ANALYZER, CONFIGURATION))
    assert (tmp_path / "out" / "configuration" / "thresholds.yml").read_text() == "signals: []\n"
    with closing(sqlite3.connect(tmp_path / "out" / "analyzer" / "analyzer.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM pairs").fetchone() == (100,)
    assert list(tmp_path.glob(".*partial")) == []


def test_a_database_that_is_written_meanwhile_is_consistent(tmp_path: Path):
    """Each transaction is in it whole or not at all."""
    make_database(tmp_path / "db", 5000)
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(tmp_path / "db", timeout=30)) as connection:
            at = 10_000
            while not stop.is_set():
                with connection:
                    connection.execute("INSERT INTO pairs VALUES (?, 0)", (at,))
                    connection.execute("UPDATE pairs SET other = one WHERE one = ?", (at,))
                at += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            copy_database(tmp_path / "db", tmp_path / f"copy{number}")
            with closing(sqlite3.connect(tmp_path / f"copy{number}")) as connection:
                assert connection.execute("SELECT count(*) FROM pairs WHERE one != other").fetchone() == (0,)
    finally:
        stop.set()
        thread.join()


def test_a_database_that_stays_locked_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is not waited for without an end, and no half archive is left."""
    monkeypatch.setattr(archive, "_LOCKED_SECONDS", 0.5)
    make_database(tmp_path / "db")
    began = time.monotonic()
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NotWrittenError, match="cannot be copied"):
            write_archive(tmp_path / "b", [Source(ANALYZER, "a", tmp_path / "db")], {}, NOW)
    assert time.monotonic() - began < 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db"]


def test_a_damaged_database_is_not_backed_up(tmp_path: Path):
    """A backup of damage is none."""
    make_database(tmp_path / "db", 20_000)
    content = bytearray((tmp_path / "db").read_bytes())
    content[8192:16384] = b"\xff" * 8192
    (tmp_path / "db").write_bytes(content)
    with pytest.raises(NotWrittenError, match=r"db cannot be copied: "):
        write_archive(tmp_path / "b", [Source(ANALYZER, "a", tmp_path / "db")], {}, NOW)


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path):
    """Nor is one that appears meanwhile."""
    target = make_archive(tmp_path)
    before = target.read_bytes()
    with pytest.raises(NotWrittenError, match="is there already"):
        write_archive(target, [], {}, NOW)
    assert target.read_bytes() == before
    with pytest.raises(NotWrittenError, match="No such file"):
        write_archive(tmp_path / "none" / "b", [], {}, NOW)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that is right."""
    return make_archive(tmp_path_factory.mktemp("archive"))


@given(data=st.data())
def test_any_damage_is_seen(whole: Path, data: st.DataObject):
    """A byte that was changed, or an end that is missing: never a traceback, and never taken for whole.

    The header of gzip has bytes that mean nothing (a time, the operating system), and the padding at the end of tar.
    """
    content = bytearray(whole.read_bytes())
    at = data.draw(st.integers(20, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    damaged = whole.with_name("damaged")
    damaged.write_bytes(content)
    try:
        found = unpack(damaged)
    except BackupError:
        return
    assert found == unpack(whole)


def pack(path: Path, *entries: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    """Write an archive by hand."""
    with tarfile.open(path, "w:gz") as made:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = (len(content) if kind == tarfile.REGTYPE or name == MANIFEST else 0), kind
            entry.type = tarfile.REGTYPE if name == MANIFEST else kind
            entry.linkname = "/etc/passwd"
            made.addfile(entry, io.BytesIO(content))
    return path


def listed(*names: str, form: int = 1) -> tuple[str, bytes]:
    """Return a manifest that lists files of one byte."""
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    files = [{"name": name, "group": "proofs", "size_bytes": 1, "sha256": digest} for name in names]
    return MANIFEST, json.dumps({"format": form, "made_at": NOW, "files": files}).encode()


@pytest.mark.parametrize(
    ("entries", "kind", "words"),
    [
        ([("a", b"x")], tarfile.REGTYPE, "does not begin with its manifest"),
        ([], tarfile.REGTYPE, "does not begin with its manifest"),
        ([(MANIFEST, b"[]")], tarfile.REGTYPE, "cannot be read as a backup"),
        ([listed("a", form=2), ("a", b"x")], tarfile.REGTYPE, "is of format 2, which this version does not know"),
        ([listed("../a"), ("../a", b"x")], tarfile.REGTYPE, "leads out of its directory"),
        ([listed("/a"), ("/a", b"x")], tarfile.REGTYPE, "leads out of its directory"),
        ([listed("a"), ("b", b"x")], tarfile.REGTYPE, "b is not in its manifest"),
        ([listed("a"), ("a", b"x"), ("a", b"x")], tarfile.REGTYPE, "a is not in its manifest"),
        ([listed("a", "b"), ("a", b"x")], tarfile.REGTYPE, "b is missing"),
        ([listed("a"), ("a", b"y")], tarfile.REGTYPE, "a is not what was written"),
        ([listed("a"), ("a", b"x")], tarfile.SYMTYPE, "a is not in its manifest"),
    ],
)
def test_what_is_no_backup_is_refused(tmp_path: Path, entries: list[tuple[str, bytes]], kind: bytes, words: str):
    """Other archives, newer versions, names that lead elsewhere, links: one sentence each, and nothing outside."""
    made = pack(tmp_path / "b", *entries, kind=kind)
    with pytest.raises(BackupError, match=words):
        unpack(made, tmp_path / "in" / "out")
    assert not (tmp_path / "in" / "a").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_files_that_are_no_archive(tmp_path: Path, content: bytes):
    """An empty file, a text, the beginning of one."""
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(BackupError, match="cannot be read as a backup"):
        unpack(tmp_path / "b")
    with pytest.raises(BackupError, match="No such file"):
        unpack(tmp_path / "none")
