"""`from perfloop import …`: the names and their typed stub are one list."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING

import pytest

import perfloop

if TYPE_CHECKING:
    from pathlib import Path

OURS = sorted(name for name, home in perfloop._HOMES.items() if home.startswith("perfloop_exporter."))


def test_the_stub_names_what_the_module_gives(checkout: Path):
    """Every public name is in the stub, from the room it comes from, and nothing else is."""
    tree = ast.parse((checkout / "perfloop" / "__init__.pyi").read_text())
    stub = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stub == perfloop._HOMES


@pytest.mark.parametrize("name", OURS)
def test_every_name_of_ours_is_there(name: str):
    """Asked for at the front door, it is the room's own."""
    assert getattr(perfloop, name) is getattr(importlib.import_module(perfloop._HOMES[name]), name)
