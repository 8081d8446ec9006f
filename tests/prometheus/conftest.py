"""The rules as tests see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def directory() -> Path:
    """The directory prometheus/ of the checkout."""
    return CHECKOUT / "prometheus"


def _read_rules(directory: Path) -> list[dict[str, Any]]:
    return [
        rule
        for file in sorted(directory.glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


@pytest.fixture(scope="session")
def alert_rules(directory: Path) -> list[dict[str, Any]]:
    """Every alerting rule of the checkout."""
    return _read_rules(directory / "alerts")


@pytest.fixture(scope="session")
def recording_rules(directory: Path) -> list[dict[str, Any]]:
    """Every recording rule of the checkout."""
    return _read_rules(directory / "rules")
