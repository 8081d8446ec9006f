"""The room of rules as tests see it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOM = Path(__file__).resolve().parents[2] / "prometheus"


@pytest.fixture(scope="session")
def room() -> Path:
    """The folder prometheus/."""
    return ROOM


@pytest.fixture(scope="session")
def alert_rules(room: Path) -> list[dict]:
    """Every alerting rule of the room."""
    files = sorted((room / "alerts").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(scope="session")
def recording_rules(room: Path) -> list[dict]:
    """Every recording rule of the room."""
    files = sorted((room / "rules").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
