from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PATH = "/api/v1/agents"


def test_created_agent_is_listed_first(client: TestClient):
    """A new agent has a number and leads the list."""
    answer = client.post(PATH, json={"name": "planner", "goal": "plan"})
    assert answer.status_code == 201
    (first,) = client.get(PATH, params={"limit": 1}).json()["agents"]
    assert first == answer.json() == {"id": first["id"], "name": "planner", "goal": "plan"}


def test_number_of_rows_is_bounded(client: TestClient):
    """However many agents are created, five hundred stay."""
    first = client.post(PATH, json={"name": "a", "goal": "b"}).json()["id"]
    for _ in range(501):
        last = client.post(PATH, json={"name": "a", "goal": "b"}).json()["id"]
    assert last == first + 501
    service = client.app.state.service
    assert len(service.database.read(_select_all())) == 500


def _select_all() -> object:
    from sqlalchemy import select

    from perfloop_demo.service.tables import agents

    return select(agents.c.id)


@pytest.mark.parametrize("limit", ["0", "101", "many"])
def test_bad_limit(client: TestClient, limit: str):
    """A limit out of range is a 422 that names it."""
    answer = client.get(PATH, params={"limit": limit})
    assert (answer.status_code, answer.json()["detail"].startswith("limit")) == (422, True)


@pytest.mark.parametrize("body", [{"name": "a"}, {"name": "", "goal": "b"}, {"name": "a" * 101, "goal": "b"}, {"x": 1}])
def test_bad_agent(client: TestClient, body: dict[str, object]):
    """An agent without a name or a goal is not created."""
    assert client.post(PATH, json=body).status_code == 422
