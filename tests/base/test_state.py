from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from perfloop_base.state import StateHealth, set_aside

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 29, 10, 15, 30, tzinfo=UTC)


def test_a_file_moves_with_its_time_in_the_name(tmp_path: Path):
    """Nothing is deleted: the content lies beside, under the time in UTC."""
    path = tmp_path / "history.json"
    path.write_text("{broken")
    moved = set_aside(path, NOW.astimezone(timezone(timedelta(hours=5))))
    assert moved == tmp_path / "history.json.corrupt-20261129T101530Z"
    assert (moved.read_text(), path.exists()) == ("{broken", False)


def test_a_directory_moves_whole(tmp_path: Path):
    """A directory is one state."""
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "1.db").write_text("x")
    assert (set_aside(tmp_path / "shards", NOW) / "1.db").read_text() == "x"


def test_the_companions_of_sqlite_go_with_it(tmp_path: Path):
    """A new database must not find the log of the old one."""
    for name in ("a.db", "a.db-wal", "a.db-shm", "a.db-journal", "a.db2"):
        (tmp_path / name).write_text(name)
    moved = set_aside(tmp_path / "a.db", NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["a.db2", *(f"{moved.name}{ending}" for ending in ("", "-wal", "-shm", "-journal"))]
    )


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path):
    """Two in one second lose neither."""
    for content in ("one", "two", "three"):
        (tmp_path / "a").write_text(content)
        set_aside(tmp_path / "a", NOW)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.corrupt-20261129T101530Z": "one",
        "a.corrupt-20261129T101530Z-2": "two",
        "a.corrupt-20261129T101530Z-3": "three",
    }


def test_what_is_not_there_cannot_move(tmp_path: Path):
    """A missing file is the caller's mistake."""
    with pytest.raises(FileNotFoundError):
        set_aside(tmp_path / "missing", NOW)


def test_the_metrics(tmp_path: Path):
    """Each state shows when it was moved aside and whether it takes writes."""
    health = StateHealth(["database", "history"])
    registry = CollectorRegistry()
    registry.register(health)
    (tmp_path / "db").write_text("x")
    health.set_aside("database", tmp_path / "db", NOW)
    assert [health.note_write("history", worked=worked) for worked in (True, False, False, True, False)] == [
        False,
        True,
        False,
        True,
        True,
    ]
    text = generate_latest(registry).decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'perfloop_state_set_aside_timestamp_seconds{state="database"} 1.79594733e+09',
        'perfloop_state_set_aside_timestamp_seconds{state="history"} 0.0',
        'perfloop_state_writable{state="database"} 1.0',
        'perfloop_state_writable{state="history"} 0.0',
    ]
