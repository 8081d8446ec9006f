"""The house rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop import __all__ as public_names

if TYPE_CHECKING:
    from pathlib import Path

ROOMS = ("exporter", "analyzer", "loadgen", "perfloop", "demo", "grafana", "prometheus", "alertmanager", "base")
LONGEST_FILE = 300


def _sources(checkout: Path) -> list[Path]:
    return [path for room in ROOMS for path in (checkout / room).rglob("*.py")]


def test_no_file_is_too_long(checkout: Path) -> None:
    """No source file has more than 300 lines."""
    long = {
        str(path.relative_to(checkout)): n
        for path in _sources(checkout)
        if (n := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_no_drawer_modules(checkout: Path) -> None:
    """No module is named after nothing in particular."""
    drawers = {"utils", "helpers", "common", "core", "misc", "manager"}
    assert [str(path) for path in _sources(checkout) if path.stem in drawers or path.parent.name in drawers] == []


@pytest.mark.parametrize("name", sorted(public_names))
def test_public_name_loads(name: str) -> None:
    """Every public name is there when it is asked for."""
    import perfloop

    assert getattr(perfloop, name) is not None


def test_instrumentation_is_light() -> None:
    """Importing the instrumentation brings no numpy, no scipy and no web server into a service."""
    script = (
        "import sys; from perfloop import performance_monitor, instrument; "
        "print([m for m in ('numpy', 'scipy', 'fastapi', 'starlette', 'uvicorn', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readme_names_real_files_and_targets(checkout: Path) -> None:
    """Every page that the README links is there, and every `make` target it names exists."""
    readme = (checkout / "README.md").read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
    assert [link for link in links if not (checkout / link).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (checkout / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", readme)) - {"and"}
    assert named - targets == set()


def test_every_stack_command_is_documented(checkout: Path) -> None:
    """Every command of `perfloop` stands in its page."""
    from perfloop.stack.cli import app

    page = (checkout / "docs" / "stack.md").read_text()
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    assert [name for name in names if f"perfloop {name}" not in page] == []


def test_every_setting_is_documented(checkout: Path) -> None:
    """Every variable that moves a port stands in the stack's page."""
    from perfloop.stack.settings import DEFAULT_PORTS, port_variable

    page = (checkout / "docs" / "stack.md").read_text()
    hidden = {"alertmanager_cluster", "alertmanager_2_cluster"}
    assert [name for name in DEFAULT_PORTS if name not in hidden and port_variable(name) not in page] == []
