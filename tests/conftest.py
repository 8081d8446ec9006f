"""What tests of every room share: the real programs, free ports, and the checkout's own folders."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from perfloop.stack import programs

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder that holds the whole project."""
    return CHECKOUT


@pytest.fixture
def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    found = programs.find(name)
    if found is None:
        pytest.skip(f"{name} is neither on PATH nor in .perfloop/bin: run `make tools`")
    return str(found)


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    """The real Prometheus."""
    return _program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    """The real promtool."""
    return _program("promtool")


@pytest.fixture(scope="session")
def alertmanager_binary() -> str:
    """The real Alertmanager."""
    return _program("alertmanager")


@pytest.fixture(scope="session")
def amtool() -> str:
    """The real amtool."""
    return _program("amtool")
