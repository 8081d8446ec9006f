"""`from perfloop import …`: the names of the exporter, and the typed stub of all names."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING

import pytest

import perfloop

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = {name: package for name, (package, _extra) in perfloop._PACKAGES.items()}
OURS = sorted(name for name, package in PACKAGES.items() if package.startswith("perfloop_exporter."))


def test_the_stub_has_the_names_of_the_module(checkout: Path):
    """Every public name is in the stub, imported from its package, and nothing else is."""
    tree = ast.parse((checkout / "perfloop" / "__init__.pyi").read_text())
    stub = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stub == PACKAGES


@pytest.mark.parametrize("name", OURS)
def test_every_name_is_the_object_of_its_package(name: str):
    """The lazy import returns the package's own object."""
    assert getattr(perfloop, name) is getattr(importlib.import_module(PACKAGES[name]), name)
