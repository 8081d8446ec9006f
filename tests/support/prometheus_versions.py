"""A Prometheus of the release that Compose ships, where this machine has one: that of other tests is Debian's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from perfloop.stack import programs

CHECKOUT = Path(__file__).parents[2]
VARIABLE = "PERFLOOP_TEST_PROMETHEUS"


def shipped_version() -> tuple[int, int, int]:
    """The version of the image in docker-compose.yml."""
    found = re.search(r"prom/prometheus:v(\d+)\.(\d+)\.(\d+)@", (CHECKOUT / "docker-compose.yml").read_text())
    assert found
    return int(found[1]), int(found[2]), int(found[3])


@cache
def version_of(program: str) -> tuple[int, int]:
    """The version of a prometheus or promtool; a build from the module's source calls 3.13 v0.313."""
    done = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=60)
    found = re.search(r"version v?(\d+)\.(\d+)", done.stdout + done.stderr)
    if found is None:
        return 0, 0
    major, minor = int(found[1]), int(found[2])
    return (minor // 100, minor % 100) if major == 0 else (major, minor)


def _candidates(name: str) -> list[str]:
    directory = os.environ.get(VARIABLE, "")
    places = [Path(directory) / name] if directory else []
    places.append(CHECKOUT / ".perfloop" / "shipped" / name)
    found = [str(path) for path in places if os.access(path, os.X_OK)]
    on_path, installed = shutil.which(name), programs.find(name)
    return [*found, *([on_path] if on_path else []), *([str(installed)] if installed else [])]


def find_prometheus(name: str = "prometheus") -> str:
    """The program, of the shipped release line; skips the test where there is none."""
    wanted = shipped_version()[:2]
    for candidate in _candidates(name):
        if version_of(candidate) >= wanted:
            return candidate
    line = ".".join(map(str, shipped_version()))
    pytest.skip(f"{name} {line} is not here: put it into a directory and name that in {VARIABLE}, or on PATH")
