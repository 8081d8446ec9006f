from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.support.programs import run_program
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

ANY_PORT = "--web.listen-address=127.0.0.1:0"


def _run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perfloop_demo.service", *flags]
    env = {**os.environ, **environment}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=env)


def test_clean_stop_heals(tmp_path: Path):
    """SIGTERM ends the program with exit code 0, and its burners with it."""
    with run_program("perfloop_demo.service", [ANY_PORT, f"--data.dir={tmp_path}"], tmp_path) as program:
        program.client.put("/faults", json={"cpu_burn": 0.1}).raise_for_status()
        burners = psutil.Process(program.process.pid).children()
        assert program.stop() == 0
    assert [burner for burner in burners if burner.is_running()] == []


@pytest.mark.parametrize(
    ("faults", "path", "body"),
    [
        ({"slow_queries": 25}, "/api/v1/search", {"query": "x"}),
        ({"pool_exhausted": 10}, "/api/v1/search", {"query": "x"}),
        ({"slow_first_token": 25}, "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ],
)
def test_stop_in_the_middle(tmp_path: Path, faults: dict[str, float], path: str, body: dict[str, object]):
    """Whatever requests wait for, a stop takes less than five seconds and they still have a response."""
    with (
        run_program("perfloop_demo.service", [ANY_PORT, f"--data.dir={tmp_path}"], tmp_path) as program,
        ThreadPoolExecutor(3) as pool,
    ):
        program.client.put("/faults", json=faults).raise_for_status()
        url = str(program.client.base_url.join(path))
        waiting = [pool.submit(httpx.post, url, json=body, timeout=60) for _ in range(3)]
        time.sleep(1)
        start = time.monotonic()
        assert program.stop() == 0
        # Five seconds are the promise; a busy machine may need them twice, the faults would need 25.
        assert time.monotonic() - start < 10
        assert "Traceback" not in program.log
        # A query that the stop interrupts is a 503, one whose fault ends just before it a 200: each has a response.
        assert {answer.result().status_code for answer in waiting} <= {200, 503, 504}


def test_killed_program_leaves_no_burner(tmp_path: Path):
    """Even SIGKILL leaves no burner: an orphan ends by itself."""
    with run_program("perfloop_demo.service", [ANY_PORT, f"--data.dir={tmp_path}"], tmp_path) as program:
        program.client.put("/faults", json={"cpu_burn": 0.1}).raise_for_status()
        (burner,) = psutil.Process(program.process.pid).children()
        program.process.kill()
        program.process.wait()
        wait_for(lambda: not burner.is_running(), "the orphan to end")


def test_rows_outlive_the_program(tmp_path: Path):
    """What was stored is found again after a restart."""
    flags = [ANY_PORT, f"--data.dir={tmp_path}"]
    with run_program("perfloop_demo.service", flags, tmp_path) as program:
        stored = program.client.post("/api/v1/process/text", json={"content": "Walrus memories."}).json()
    with run_program("perfloop_demo.service", flags, tmp_path) as program:
        found = program.client.post("/api/v1/search", json={"query": "walrus memories", "limit": 1}).json()
    assert found["results"][0]["id"] == stored["id"]


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"DATABASE_URL": "mysql://db"}, 2, "must begin with postgresql:// or sqlite://"),
        ({"DATABASE_URL": "postgresql://user:secret@127.0.0.1:9/db"}, 1, "cannot be used"),
        ({"REDIS_URL": "redis://:secret@127.0.0.1:9"}, 1, "no Redis answers"),
        ({"DATABASE_URL": "sqlite:////proc/nowhere/demo.db"}, 1, "cannot be created"),
    ],
)
def test_bad_environment(tmp_path: Path, environment: dict[str, str], code: int, words: str):
    """A database that cannot be used is one sentence without its password, and an exit code."""
    done = _run(ANY_PORT, f"--data.dir={tmp_path}", **environment)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert ("Traceback" in done.stderr, ":secret" in done.stderr) == (False, False)


def test_taken_port(tmp_path: Path):
    """A taken port is named, with an exit code of its own, and no directory is created before."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = _run(f"--web.listen-address=127.0.0.1:{port}", f"--data.dir={tmp_path / 'data'}")
    assert (done.returncode, f"port {port}" in done.stderr) == (3, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("flag", ["--web.listen-address=8000", "--web.listen-address=127.0.0.1:x", "--speed=9"])
def test_bad_flag(flag: str):
    """A wrong flag is a usage error."""
    done = _run(flag)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
