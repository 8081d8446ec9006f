"""The generator and the dashboards it writes, as the tests of this room read them."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.grafana.boards import Panel, list_panels, read_boards

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


@pytest.fixture(scope="session")
def generator(checkout: Path) -> ModuleType:
    """grafana/build.py, loaded as a module: the folder is no package."""
    folder = checkout / "grafana"
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("grafana_build", folder / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(folder))
    return module


@pytest.fixture(scope="session")
def boards(checkout: Path) -> dict[str, dict[str, Any]]:
    """Every committed dashboard by its uid."""
    return read_boards(checkout)


@pytest.fixture(scope="session")
def panels(boards: dict[str, dict[str, Any]]) -> list[Panel]:
    """Every panel of every board."""
    return list_panels(boards)
