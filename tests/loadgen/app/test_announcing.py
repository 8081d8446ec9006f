"""The target file of a run, and those of runs that were killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ExitCode
from perfloop_base.processes import identify
from perfloop_loadgen.app.announcing import announce, withdraw
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which a stack keeps target files."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    (tmp_path / "targets").mkdir()
    return tmp_path / "targets"


def _write(directory: Path, name: str, identity: str | None) -> Path:
    labels = {"service": "loadgen"} | ({"__meta_perfloop_process": identity} if identity else {})
    path = directory / name
    path.write_text(json.dumps([{"targets": ["127.0.0.1:1"], "labels": labels}]))
    return path


def _dead() -> str:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return identify(process.pid)


def test_a_target_file_is_written_where_the_stack_keeps_them(targets: Path, monkeypatch: pytest.MonkeyPatch):
    """The form of file service discovery, whole from its first moment, with its process; without a stack, nothing."""
    path = announce("127.0.0.1:19121")
    assert path == targets / "loadgen-19121.json"
    labels = {"service": "loadgen", "__meta_perfloop_process": identify()}
    assert json.loads(path.read_text()) == [{"targets": ["127.0.0.1:19121"], "labels": labels}]
    assert [one.name for one in targets.iterdir()] == [path.name]
    withdraw(path)
    assert list(targets.iterdir()) == []
    monkeypatch.setenv("PERFLOOP_HOME", str(targets.parent / "none"))
    assert announce("127.0.0.1:19121") is None


def test_a_target_file_that_cannot_be_written_is_logged(targets: Path, caplog: pytest.LogCaptureFixture):
    """The run goes on without being scraped, says so, and leaves no part of a file."""
    (targets / "loadgen-19121.json").mkdir()
    assert announce("127.0.0.1:19121") is None
    assert caplog.messages == [f"{targets}: cannot be written, so Prometheus will not scrape this run: Is a directory"]
    assert [one.name for one in targets.iterdir()] == ["loadgen-19121.json"]


def test_the_files_of_dead_runs_are_removed(targets: Path):
    """Those whose process has ended or whose number another process has now; every other file stays."""
    dead = _dead()
    gone = [
        _write(targets, "loadgen-1.json", dead),
        _write(targets, "loadgen-2.json", f"{os.getpid()}:1"),
        _write(targets, "loadgen-3.1.partial", None),
    ]
    os.utime(gone[2], (time.time() - 120,) * 2)
    kept = [
        _write(targets, "loadgen-4.json", identify()),
        _write(targets, "loadgen-5.json", None),
        _write(targets, "mine.json", dead),
        _write(targets, "loadgen-6.1.partial", None),
    ]
    for name, text in (("7", "not json"), ("8", "[1]"), ("9", "[" * 100_000), ("10", "[{}]"), ("11", "null")):
        kept.append(targets / f"loadgen-{name}.json")
        kept[-1].write_text(text)
    announce("127.0.0.1:19121")
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)


TEST = """
load_tests:
  t: {{base_url: "{url}", duration_seconds: {seconds}, think_time_seconds: 0.1, endpoints: [{{path: /}}]}}
"""


def test_a_run_that_was_killed_is_removed_by_the_next_one(targets: Path, raw_server: Any, free_port: int):
    """SIGKILL leaves the file; the next run removes it and, at its end, its own."""
    environment = {**os.environ, "PERFLOOP_HOME": str(targets.parent), "PERFLOOP_LOADGEN_PORT": str(free_port)}
    test = targets.parent / "test.yml"
    command = [sys.executable, "-m", "perfloop_loadgen", "run", str(test)]
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        test.write_text(TEST.format(url=server.url, seconds=30))
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
            try:
                wait_for(lambda: list(targets.glob("*.json")), "the target file")
            finally:
                killed.kill()
        [left] = targets.glob("*.json")
        test.write_text(TEST.format(url=server.url, seconds=0.5))
        # On another port, so that the file is not simply written over.
        environment["PERFLOOP_LOADGEN_PORT"] = str(free_port + 20)
        ended = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=30)
    # Whether a busy machine made it invalid is not the question here.
    assert ended.returncode in {ExitCode.OK, ExitCode.INVALID}, ended.stderr
    assert not left.exists()
    assert list(targets.iterdir()) == []
