"""Target files of load tests that are gone are removed, and no others."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.target_files import PROCESS_LABEL, remove_stale
from perfloop_base.processes import identify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    """The directory of target files of a home."""
    (tmp_path / "targets").mkdir()
    return tmp_path / "targets"


def _group(address: str, **labels: str) -> str:
    return json.dumps([{"targets": [address], "labels": {"service": "loadgen", **labels}}])


def test_the_file_of_a_killed_load_test_goes(targets: Path) -> None:
    """That of one that runs stays, whatever its address answers, and so does a person's own file."""
    (targets / "loadgen-1.json").write_text(_group("127.0.0.1:1", **{PROCESS_LABEL: f"{os.getpid()}:1"}))
    (targets / "loadgen-2.json").write_text(_group("127.0.0.1:2", **{PROCESS_LABEL: identify()}))
    (targets / "mine.json").write_text(_group("127.0.0.1:3"))
    assert remove_stale(targets.parent) == ["loadgen-1.json"]
    assert sorted(path.name for path in targets.iterdir()) == ["loadgen-2.json", "mine.json"]


def test_a_file_without_a_process_is_judged_by_its_address(targets: Path, free_port: int) -> None:
    """As an earlier version wrote it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        (targets / "loadgen-1.json").write_text(_group(f"127.0.0.1:{server.getsockname()[1]}"))
        (targets / "loadgen-2.json").write_text(_group(f"127.0.0.1:{free_port}"))
        assert remove_stale(targets.parent) == ["loadgen-2.json"]


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", "[1]", '[{"targets": 5}]', '[{"labels": 1, "targets": []}]', "\x00"]
)
def test_a_damaged_file_goes(targets: Path, text: str) -> None:
    """Prometheus could not read it either."""
    (targets / "loadgen-1.json").write_text(text)
    assert remove_stale(targets.parent) == ["loadgen-1.json"]


def test_half_written_files_go_after_a_minute(targets: Path) -> None:
    """Not at once: one may be being written."""
    for name, age in (("loadgen-1.partial", 300), ("loadgen-2.partial", 0)):
        (targets / name).write_text("[")
        then = (targets / name).stat().st_mtime - age
        os.utime(targets / name, (then, then))
    remove_stale(targets.parent)
    assert [path.name for path in targets.iterdir()] == ["loadgen-2.partial"]


def test_no_directory(tmp_path: Path) -> None:
    """A home without target files has none to remove."""
    assert remove_stale(tmp_path) == []
