"""A Prometheus that receives OTLP: the machine's own where it is current, else one that Go builds from its modules.

`python -m tests.support.current_prometheus` builds it, in ten minutes on two cores, and prints where it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from perfloop.stack import programs
from perfloop.stack.alertmanager_version import read_version
from perfloop.stack.otlp import OLDEST

VARIABLE = "PERFLOOP_CURRENT_PROMETHEUS"
# As in docker-compose.yml: 3.13.3 is v0.313.3 of its Go module.
_MODULE = "github.com/prometheus/prometheus"
_VERSION = "v0.313.3"
_PLACE = programs.CHECKOUT / ".perfloop" / "current"
_BUILD_SECONDS = 3600
HOW = "run `python -m tests.support.current_prometheus`, which needs Go 1.26, or name one in " + VARIABLE


def find_current(name: str = "prometheus") -> Path | None:
    """Return the path of a program of Prometheus 3, or None where the machine has none."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).with_name(name)
    found = programs.find(name)
    version = read_version(found) if found else None
    if found and version and version >= OLDEST:
        return found
    built = _PLACE / name
    return built if os.access(built, os.X_OK) else None


def build(go: str = "go") -> Path:
    """Build Prometheus and promtool from their modules, checked against Go's sum database, and return where they are.

    Raises:
        CalledProcessError: Go cannot build them; what it wrote was shown.
    """
    _PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "go.mod").write_text("module example.test/prometheus\n\ngo 1.26.0\n")
        commands = ("prometheus", "promtool")
        imports = "".join(f'\t_ "{_MODULE}/cmd/{name}"\n' for name in commands)
        (directory / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")
        version = f"-X github.com/prometheus/common/version.Version={_VERSION.replace('v0.3', '3.', 1)}"
        steps = [["get", f"{_MODULE}@{_VERSION}"], ["mod", "tidy"]]
        steps += [
            ["build", "-ldflags", version, "-o", str(_PLACE / name), f"{_MODULE}/cmd/{name}"] for name in commands
        ]
        for step in steps:
            subprocess.run([go, *step], cwd=directory, check=True, timeout=_BUILD_SECONDS)
    return _PLACE / "prometheus"


if __name__ == "__main__":
    sys.stdout.write(f"{find_current() or build()}\n")
