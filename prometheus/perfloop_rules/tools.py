"""Prometheus' and Alertmanager's own tools, asked about the committed files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def find_tool(name: str, checkout: Path) -> str | None:
    """Return a tool from PATH, else from where the stack keeps the programs it fetched."""
    homes = [os.environ.get("PERFLOOP_HOME") or "", str(checkout / ".perfloop")]
    places = os.pathsep.join([os.environ.get("PATH", ""), *(str(Path(home) / "bin") for home in homes if home)])
    return shutil.which(name, path=places)


def ask_tools(checkout: Path) -> tuple[list[str], list[str]]:
    """Return what the tools complain of, and which were not there to be asked."""
    questions = {
        "promtool": ["check", "config", str(checkout / "prometheus" / "prometheus.yml")],
        "amtool": ["check-config", str(checkout / "alertmanager" / "alertmanager.yml")],
    }
    problems: list[str] = []
    skipped: list[str] = []
    for name, arguments in questions.items():
        tool = find_tool(name, checkout)
        if tool is None:
            skipped.append(f"SKIPPED: {name} is neither on PATH nor fetched; `{name} {arguments[0]}` was not asked.")
            continue
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
        said = done.stdout + done.stderr
        if done.returncode or "FAILED" in said:
            problems.append(f"{name} {arguments[0]}: {said.strip()}")
    return problems, skipped
