"""Data that a component cannot read is recognised by what the real programs write, and nothing else is."""

from __future__ import annotations

import socket
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.guardian.corruption import MOVED, find_refused, find_wiped, move_aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NOW = datetime(2026, 11, 29, 10, 15, 30, tzinfo=UTC)
_EXIT = "exit status 1; not expected"
_GARBAGE = bytes(range(256)) * 20


def _run(*command: str) -> str:
    """Return what a program writes until it ends by itself."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode > 0
    return done.stdout + done.stderr


@pytest.fixture
def start_prometheus(prometheus_binary: str, tmp_path: Path, free_port: int) -> Callable[[], str]:
    """Start Prometheus on the data of the home and return its last words."""
    config = tmp_path / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    (tmp_path / "prometheus").mkdir()
    return lambda: _run(
        prometheus_binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{free_port}",
    )


@pytest.fixture
def start_alertmanager(alertmanager_binary: str, tmp_path: Path, free_port: int) -> Callable[[], str]:
    """Start Alertmanager on the data of the home and return its last words."""
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: x}\nreceivers: [{name: x}]\n")
    (tmp_path / "alertmanager").mkdir()
    return lambda: _run(
        alertmanager_binary,
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{free_port}",
        "--cluster.listen-address=",
    )


@pytest.mark.parametrize("damage", ["chunks_head/000001", "wal"])
def test_prometheus_with_damaged_data(start_prometheus: Callable[[], str], tmp_path: Path, damage: str) -> None:
    """Its data is moved aside whole, with the time in its name, and it has an empty directory to begin in."""
    path = tmp_path / "prometheus" / damage
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_GARBAGE)
    refused = find_refused("prometheus", start_prometheus(), _EXIT)
    moved = move_aside(tmp_path, refused, _NOW)
    assert moved is not None
    assert moved[1] == tmp_path / "prometheus.corrupt-20261129T101530Z"
    assert (moved[1] / damage).read_bytes() == _GARBAGE
    assert list((tmp_path / "prometheus").iterdir()) == []


@pytest.mark.parametrize("file", ["nflog", "silences"])
def test_alertmanager_with_damaged_data(start_alertmanager: Callable[[], str], tmp_path: Path, file: str) -> None:
    """The file that it refuses is moved aside, so that the next start succeeds."""
    (tmp_path / "alertmanager" / file).write_bytes(_GARBAGE)
    refused = find_refused("alertmanager", start_alertmanager(), _EXIT)
    moved = move_aside(tmp_path, refused, _NOW)
    assert moved is not None
    assert moved[1] == tmp_path / "alertmanager" / f"{file}.corrupt-20261129T101530Z"


def test_other_ends_move_nothing(start_prometheus: Callable[[], str], tmp_path: Path, free_port: int) -> None:
    """A configuration, an address, a full disk, a signal or a receiver that fails says nothing about the data."""
    (tmp_path / "prometheus.yml").write_text("scrape_configs: {")
    assert find_refused("prometheus", start_prometheus(), _EXIT) == []
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    with socket.create_server(("127.0.0.1", free_port)):
        assert find_refused("prometheus", start_prometheus(), _EXIT) == []
    full = 'msg="Starting Prometheus"\nlevel=error err="opening storage failed: write wal: no space left on device"\n'
    assert find_refused("prometheus", full, _EXIT) == []
    refusal = 'level=error err="opening storage failed: chunks_head/000001: invalid magic number 0"\n'
    assert find_refused("prometheus", refusal, _EXIT) != []
    assert find_refused("prometheus", refusal, "terminated by SIGKILL; not expected") == []
    assert find_refused("prometheus", f'{refusal}msg="Starting Prometheus"\nmsg="TSDB started"\n', _EXIT) == []
    assert find_refused("exporter", refusal, _EXIT) == []


def test_a_receiver_that_failed_while_alertmanager_ran() -> None:
    """Its errors are no refusal of data, whatever ended it."""
    log = (
        'level=info msg="Starting Alertmanager"\nlevel=info msg="Loading configuration file"\n'
        'level=error component=dispatcher msg="Notify for alerts failed" err="context canceled"\n'
    )
    assert find_refused("alertmanager", log, _EXIT) == []


def test_data_that_somebody_removed(tmp_path: Path) -> None:
    """Prometheus without its write-ahead log answers, but stores nothing."""
    (tmp_path / "prometheus").mkdir()
    assert find_wiped(tmp_path, {"prometheus", "exporter"}) == ["prometheus"]
    assert find_wiped(tmp_path, {"exporter"}) == []
    (tmp_path / "prometheus" / "wal").mkdir()
    assert find_wiped(tmp_path, {"prometheus"}) == []


def test_a_refusal_from_before_the_last_move() -> None:
    """An end that is heard of late moves nothing more: the start after it reads what is there now."""
    refusal = 'level=info msg="Starting Alertmanager"\nlevel=error err="proto: wiretype end group for non-group"\n'
    note = f"2026 perfloop: alertmanager: its notification log {MOVED} /x, and it begins with new data\n"
    assert find_refused("alertmanager", refusal, _EXIT) != []
    assert find_refused("alertmanager", refusal * 2 + note, _EXIT) == []
    assert find_refused("alertmanager", refusal + note + refusal, _EXIT) != []
