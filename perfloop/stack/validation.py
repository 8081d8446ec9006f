"""Whether the configuration that a stack would start with is valid; asked before anything is started."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import yaml

from perfloop.stack import programs
from perfloop.stack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop.stack.settings import Settings

_CHECK_SECONDS = 60
_COMMITTED = (
    "prometheus/prometheus.yml",
    "prometheus/thresholds.yml",
    "prometheus/targets/*.y*ml",
    "alertmanager/alertmanager.yml",
    "grafana/provisioning/*/*.yml",
    "demo/steady.yml",
)


def _describe(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "it cannot be read"
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else " ".join(str(error).split())


def find_broken_files(checkout: Path) -> Iterator[str]:
    """Yield one sentence for each committed file that is missing or no YAML."""
    for pattern in _COMMITTED:
        found = sorted(checkout.glob(pattern))
        if not found and "*" not in pattern:
            yield f"{pattern} is missing: it belongs to the checkout"
        for path in found:
            name = path.relative_to(checkout)
            try:
                yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.YAMLError as error:
                yield f"{name} is not valid YAML: {_describe(error)}"
            except (OSError, UnicodeDecodeError) as error:
                yield f"{name} cannot be read: {error}"


def _ask(tool: Path, *arguments: str) -> str | None:
    """Return what the tool found wrong, or None."""
    done = subprocess.run(  # noqa: S603 - a fixed command line
        [str(tool), *arguments], capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
    )
    if done.returncode == 0:
        return None
    said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if any("field url_file not found" in line for line in said):
        return "secrets/heartbeat_url needs Alertmanager 0.26 or later, which reads an address from a file"
    return next((line for line in reversed(said) if "FAILED" in line or "error" in line.lower()), said[-1])


def find_invalid_configuration(settings: Settings) -> Iterator[str]:
    """Yield one sentence for each effective file that Prometheus or Alertmanager would refuse."""
    for name, file, arguments in (
        ("promtool", "prometheus.yml", ("check", "config")),
        ("amtool", "alertmanager/alertmanager.yml", ("check-config",)),
    ):
        tool, path = programs.find(name, settings.home), settings.home / "etc" / file
        problem = _ask(tool, *arguments, str(path)) if tool and path.exists() else None
        if problem:
            yield f"{name} refuses {path}: {problem}"


def require_readable(settings: Settings) -> None:
    """Check the committed files.

    Raises:
        SettingsError: with every problem, one a line.
    """
    problems = list(find_broken_files(settings.checkout))
    if problems:
        raise SettingsError("\n".join(problems))


def require_valid(settings: Settings) -> None:
    """Check the effective files with the programs' own tools.

    Raises:
        SettingsError: with every problem, one a line.
    """
    problems = list(find_invalid_configuration(settings))
    if problems:
        raise SettingsError("\n".join(problems))
