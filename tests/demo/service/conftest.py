"""The demo service in this process, and as a program of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from perfloop_demo.service.app import build_app
from perfloop_demo.service.settings import Settings
from tests.support.programs import Program, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    database = tmp_path_factory.mktemp("service") / "demo.db"
    with TestClient(build_app(Settings(f"sqlite:///{database}"))) as client:
        yield client


@pytest.fixture
def client(_client: TestClient) -> TestClient:
    """A client of a healthy service, without a network."""
    _client.delete("/faults").raise_for_status()
    return _client


@pytest.fixture(scope="session")
def _running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    directory = tmp_path_factory.mktemp("service")
    with run_program(
        "perfloop_demo.service", ["--web.listen-address=127.0.0.1:0", f"--data.dir={directory}"], directory
    ) as program:
        yield program


@pytest.fixture
def running_service(_running_service: Program) -> Iterator[Program]:
    """The real program on SQLite and the cache in its process, healthy before and after."""
    _running_service.client.delete("/faults").raise_for_status()
    yield _running_service
    _running_service.client.delete("/faults").raise_for_status()
