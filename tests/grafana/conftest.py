"""The committed dashboards, and a browser to look at them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.grafana import machines as hosts
from tests.grafana.boards import Panel, list_panels, read_boards
from tests.grafana.screens import CHROMIUM_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.grafana.machines import Machines


@pytest.fixture(scope="session")
def boards(checkout: Path) -> dict[str, dict[str, Any]]:
    """Every committed dashboard by its uid."""
    return read_boards(checkout)


@pytest.fixture(scope="session")
def panels(boards: dict[str, dict[str, Any]]) -> list[Panel]:
    """Every panel of every board."""
    return list_panels(boards)


@pytest.fixture(scope="session")
def machines(prometheus_binary: str, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Hosts of every state under a real Prometheus; the one that runs is this machine."""
    with hosts.start(prometheus_binary, checkout, tmp_path_factory.mktemp("hosts")) as started:
        yield started


@pytest.fixture(scope="session")
def screenshots(checkout: Path) -> Path:
    """Where pictures of every page are kept after a run."""
    return checkout / ".perfloop" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window; where it is missing, these tests are skipped, and say so.

    Not for the whole session: Playwright keeps an event loop running, and no other test could start one.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("NO CHROMIUM: `apt-get install chromium` lets these tests look at the pages")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()
