"""The native stack on a machine without space, names or IPv4. Each test needs root, for a mount or a namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.native_stack import Stack, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
long_test = pytest.mark.skipif(
    not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes a minute or more: set PERFLOOP_LONG_TESTS=1 to run it"
)
_PERFLOOP = f"{sys.executable} -m perfloop"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 180 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=180m", "tmpfs", str(disk)], check=False)
    if done.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _fill(disk: Path) -> None:
    for name, size in (("large", 1 << 20), ("small", 1)):
        with (disk / name).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _free(disk: Path) -> None:
    (disk / "large").unlink()
    (disk / "small").unlink()


@long_test
def test_a_full_disk(small_disk: Path) -> None:
    """`up` says it in one sentence; a running stack says it, runs on, and stores again when there is space."""
    stack = Stack(small_disk / "home")
    _fill(small_disk)
    code, _, err = stack.run("up", "--native", "--no-demo")
    assert code == 1
    assert f"perfloop: the disk of {stack.home} has 0 B free and the stack needs 100 MB to start" in err
    assert stack.run("down")[0] == 0
    _free(small_disk)
    try:
        stack.up()
        processes = {name: stack.process(name) for name in stack.components()}
        _fill(small_disk)
        time.sleep(30)
        code, _, err = stack.run("status")
        assert code == 7
        assert "is full (0 B free): nothing is stored and alerts stand still" in err
        assert "hangs" not in err
        wait(lambda: bool(stack.messages(alertname="StackDiskFull", status="firing")), 60, "the alert")
        _free(small_disk)
        wait(stack.is_healthy, 60, "a healthy stack")
        assert [name for name, process in processes.items() if not process.is_running()] == []
        wait(lambda: _last_sample_age(stack) < 10, 60, "new samples")
        wait(lambda: bool(stack.messages(alertname="StackDiskFull", status="resolved")), 120, "its end")
    finally:
        stack.clear()


@long_test
def test_down_on_a_full_disk(small_disk: Path) -> None:
    """A stack can be stopped although not a byte can be written."""
    stack = Stack(small_disk / "home")
    try:
        stack.up()
        _fill(small_disk)
        code, _, err = stack.run("down")
        assert (code, err) == (0, "the stack is stopped\n")
    finally:
        stack.clear()


def _last_sample_age(stack: Stack) -> float:
    query = {"query": 'time() - timestamp(up{job="node"})'}
    try:
        result = httpx.get(stack.url("prometheus", "/api/v1/query"), params=query, timeout=5).json()["data"]["result"]
        return float(result[0]["value"][1])
    except (httpx.HTTPError, ValueError, KeyError, IndexError):
        return float("inf")


def _in_namespace(stack: Stack, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script where there is no network but the loopback interface."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a network namespace cannot be made here")
    command = ["unshare", "-n", "sh", "-c", f"ip link set lo up\n{script}"]
    return subprocess.run(command, env=stack.environment, capture_output=True, text=True, check=False, timeout=400)


@long_test
def test_without_a_network_and_without_names(tmp_path: Path) -> None:
    """No DNS, no route: everything runs, since all addresses are of this machine."""
    stack = Stack(tmp_path / "home")
    script = f"{_PERFLOOP} up --native --no-demo && {_PERFLOOP} status; echo status $?; {_PERFLOOP} down"
    done = _in_namespace(stack, script)
    assert "status 0" in done.stdout, done.stderr


def test_without_an_ipv4_address(tmp_path: Path) -> None:
    """A loopback interface without 127.0.0.1 is said in one sentence, not as a port that somebody holds."""
    stack = Stack(tmp_path / "home")
    done = _in_namespace(stack, f"ip addr del 127.0.0.1/8 dev lo; {_PERFLOOP} up --native --no-demo")
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("perfloop: 127.0.0.1 is no address of this machine, and the ")
