from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BASE = Path(__file__).parents[2] / "base" / "perfloop_base"
MODULES = sorted(path.stem for path in BASE.glob("*.py") if path.stem != "__init__")
# What `pip install perfloop` brings: see [project] dependencies in pyproject.toml.
INSTALLED = ("prometheus_client", "psutil", "yaml")
# The base package without what no base install has: whatever else is imported must be the standard library's.
IMPORT = """
import importlib, sys
from importlib.abc import MetaPathFinder

class OnlyTheBaseInstall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        # The standard library's own: zoneinfo reads with what Python was built.
        if top in sys.stdlib_module_names or top.startswith("_sysconfigdata"):
            return
        if top not in {installed!r} and top != "perfloop_base":
            raise ModuleNotFoundError(f"No module named {{top!r}}", name=top)

sys.meta_path.insert(0, OnlyTheBaseInstall())
importlib.import_module("perfloop_base.{module}")
"""


def has_an_extra(module: str) -> bool:
    """Return whether the docstring names the extra that a module needs."""
    text = ast.get_docstring(ast.parse((BASE / f"{module}.py").read_text(encoding="utf-8"))) or ""
    return "extra" in text


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_with_the_base_install_unless_they_say_so(module: str):
    """A module that needs more than the base install names the extra in its docstring, and no other does."""
    code = IMPORT.format(installed=INSTALLED, module=module)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode == 0) is not has_an_extra(module), done.stderr
