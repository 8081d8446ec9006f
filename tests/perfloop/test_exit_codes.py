"""Every command ends with the exit code that docs/stack.md names, through the command that people run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ExitCode
from perfloop_base.home import DEFAULT_PORTS, port_variable
from tests.support.free_ports import find_free_ports
from tests.support.native_stack import PERFLOOP

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with a home and ports of its own, in which no stack runs and no container engine answers."""
    ports = zip(DEFAULT_PORTS, find_free_ports(len(DEFAULT_PORTS)), strict=True)
    moved = {port_variable(name): str(port) for name, port in ports}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PERFLOOP_")}
    home = tmp_path / "home"
    return {**outside, **moved, "PERFLOOP_HOME": str(home), "DOCKER_HOST": f"unix://{tmp_path}/no-engine"}


def _run(environment: dict[str, str], *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PERFLOOP), *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("", ExitCode.USAGE),
        ("nonsense", ExitCode.USAGE),
        ("status --nonsense", ExitCode.USAGE),
        ("up --docker --native", ExitCode.USAGE),
        ("--help", ExitCode.OK),
        ("status --help", ExitCode.OK),
        ("status", ExitCode.NOT_RUNNING),
        ("status --json", ExitCode.NOT_RUNNING),
        ("logs prometheus", ExitCode.NOT_RUNNING),
        ("logs supervisord", ExitCode.NOT_RUNNING),
        ("logs", ExitCode.USAGE),
        ("logs prometheus -n many", ExitCode.USAGE),
        ("down", ExitCode.OK),
        ("init", ExitCode.USAGE),
        ("completion bash", ExitCode.OK),
        ("completion cmd", ExitCode.USAGE),
        ("up --docker", ExitCode.DOCKER),
        ("exporter --nonsense", ExitCode.USAGE),
        ("analyzer nonsense", ExitCode.USAGE),
        ("analyzer once --prometheus.url=http://127.0.0.1:9", ExitCode.SOURCE_UNAVAILABLE),
        ("scale --service=shop", ExitCode.USAGE),
        (
            "scale --service=shop --once --webhook=http://127.0.0.1:9 --prometheus.url=http://127.0.0.1:9",
            ExitCode.SOURCE_UNAVAILABLE,
        ),
        ("loadgen run no-such-file.yml", ExitCode.USAGE),
        ("inbox --nonsense", ExitCode.USAGE),
        ("demo --nonsense", ExitCode.USAGE),
    ],
)
def test_a_command_where_no_stack_runs(environment: dict[str, str], arguments: str, code: ExitCode) -> None:
    """Usage, success, nothing running, no engine: each has its code, and no command writes a traceback."""
    done = _run(environment, *arguments.split())
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@pytest.mark.parametrize("program", ["exporter", "inbox", "demo"])
def test_a_taken_port(environment: dict[str, str], program: str) -> None:
    """A program whose address is taken ends with the code for that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = _run(environment, program, f"--web.listen-address={address}")
    assert done.returncode == ExitCode.PORT_TAKEN, done.stderr


def test_files_of_a_configuration(environment: dict[str, str], tmp_path: Path) -> None:
    """`init`, `generate` and `doctor` on good, stale and broken files."""
    copy = tmp_path / "copy"
    assert _run(environment, "init", str(copy)).returncode == ExitCode.OK
    assert _run(environment, "init", str(copy)).returncode == ExitCode.USAGE
    assert _run(environment, "generate", "--check", cwd=copy).returncode == ExitCode.OK
    thresholds = copy / "prometheus" / "thresholds.yml"
    good = thresholds.read_text()
    assert "warning: 1\n" in good
    thresholds.write_text(good.replace("warning: 1\n", "warning: 0.8\n", 1))
    assert _run(environment, "generate", "--check", cwd=copy).returncode == ExitCode.FAILED
    assert _run(environment, "generate", cwd=copy).returncode == ExitCode.OK
    assert _run(environment, "generate", "--check", cwd=copy).returncode == ExitCode.OK
    thresholds.write_text("signals: [")
    for command in ("generate", "up --native"):
        done = _run(environment, *command.split(), cwd=copy)
        assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.USAGE, False), done.stderr
    done = _run(environment, "doctor", cwd=copy)
    assert done.returncode == ExitCode.FAILED
    assert "FAIL configuration" in done.stdout


def test_a_damaged_record_of_the_stack(environment: dict[str, str], tmp_path: Path) -> None:
    """Where no stack runs, `status` says so whatever the record holds; a record without its processes is a trouble."""
    run = tmp_path / "home" / "run"
    run.mkdir(parents=True)
    for garbage in ("", "{", "[]", '{"components": 1}', '{"mode": "native", "demo": true, "components": [{}]}'):
        (run / "stack.json").write_text(garbage)
        assert _run(environment, "status").returncode == ExitCode.NOT_RUNNING
    component = {"name": "exporter", "url": "http://127.0.0.1:9", "health_url": "http://127.0.0.1:9/"}
    (run / "stack.json").write_text(json.dumps({"mode": "native", "demo": False, "components": [component]}))
    done = _run(environment, "status", "--json")
    assert done.returncode == ExitCode.UNHEALTHY
    assert "does not answer" in json.loads(done.stdout)["trouble"]
    assert _run(environment, "doctor").returncode == ExitCode.FAILED
    assert _run(environment, "down").returncode == ExitCode.OK
    assert _run(environment, "status").returncode == ExitCode.NOT_RUNNING
