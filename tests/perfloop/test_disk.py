"""A disk without space: a real small file system, mounted where only the command itself sees it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop.stack import disk

if TYPE_CHECKING:
    from pathlib import Path


def run_on_disk(directory: Path, megabytes: int, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command with `directory` on a file system of this size."""
    enter = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={megabytes}M,mode=0700 none {directory}"
    if shutil.which("unshare") is None or subprocess.run([*enter, mount], check=False, capture_output=True).returncode:
        pytest.skip("NO FULL DISK WAS TRIED: this user may not mount one in a namespace of its own")
    environment = {**os.environ, "PERFLOOP_HOME": str(directory)}
    script = f"{mount} && {command}"
    return subprocess.run([*enter, script], check=False, capture_output=True, text=True, env=environment)


def test_no_start_on_a_small_disk(tmp_path: Path):
    """One sentence with the directory, what is free and what is needed; nothing is written."""
    done = run_on_disk(
        tmp_path, 50, f"{sys.executable} -m perfloop up --native; code=$?; ls -A {tmp_path}/run; exit $code"
    )
    assert done.returncode == 1
    assert f"the disk of {tmp_path} has 52.4 MB free and the stack needs 100 MB to start" in done.stderr
    assert not (tmp_path / "run" / "supervisord.pid").exists()


def test_a_full_disk_is_reported_and_one_with_space_is_not(tmp_path: Path):
    """The sentence that `perfloop status` shows, before and after the last byte is taken."""
    code = "import sys, pathlib; from perfloop.stack import disk; print(disk.find_trouble(pathlib.Path(sys.argv[1])))"
    ask = f"{sys.executable} -c '{code}' {tmp_path}"
    done = run_on_disk(tmp_path, 50, f"{ask}; dd if=/dev/zero of={tmp_path}/fill bs=1M status=none; {ask}")
    fine, full = done.stdout.splitlines()
    assert fine == "None"
    assert full.startswith(f"the disk of {tmp_path} is full (0 B free)")


def test_a_home_that_is_not_there_yet_is_measured_above(tmp_path: Path):
    """The nearest directory that exists is the one whose disk counts."""
    assert disk.find_existing(tmp_path / "a" / "b") == tmp_path
    assert disk.free_bytes(tmp_path / "a" / "b") > 0
