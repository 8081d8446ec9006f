"""Prometheus's and Alertmanager's own checks of the configuration: promtool and amtool, where they are found."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CHECK_SECONDS = 60


def find_tool(name: str, directory: Path) -> str | None:
    """Return a tool from PATH, else from where the stack keeps the programs it downloaded."""
    homes = [os.environ.get("PERFLOOP_HOME") or "", str(directory / ".perfloop")]
    places = os.pathsep.join([os.environ.get("PATH", ""), *(str(Path(home) / "bin") for home in homes if home)])
    return shutil.which(name, path=places)


def run_tools(directory: Path) -> tuple[list[str], list[str]]:
    """Return what the tools report of a configuration directory, and a sentence for each tool that is missing."""
    commands = {
        "promtool": ["check", "config", str(directory / "prometheus" / "prometheus.yml")],
        "amtool": ["check-config", str(directory / "alertmanager" / "alertmanager.yml")],
    }
    problems: list[str] = []
    skipped: list[str] = []
    for name, arguments in commands.items():
        tool = find_tool(name, directory)
        if tool is None:
            skipped.append(f"SKIPPED: {name} {arguments[0]}: {name} is neither on PATH nor downloaded.")
            continue
        done = subprocess.run(  # noqa: S603  # fixed words
            [tool, *arguments], capture_output=True, text=True, check=False, timeout=CHECK_SECONDS
        )
        output = done.stdout + done.stderr
        if done.returncode or "FAILED" in output:
            problems.append(f"{name} {arguments[0]}: {output.strip()}")
    return problems, skipped
