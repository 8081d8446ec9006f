from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PATH = "/api/v1/search"


def test_users_own_request(client: TestClient):
    """The request of the user's guide finds five documents, nearest first."""
    results = client.post(PATH, json={"query": "load test query"}).json()["results"]
    scores = [result["score"] for result in results]
    assert len(results) == 5
    assert scores == sorted(scores, reverse=True)
    assert "load test" in results[0]["content"]


def test_limit(client: TestClient):
    """No more documents come than were asked for."""
    assert len(client.post(PATH, json={"query": "cache", "limit": 2}).json()["results"]) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 51}, "limit"),
        ({"query": "x", "top": 3}, "top"),
    ],
)
def test_bad_request(client: TestClient, body: dict[str, Any], field: str):
    """A bad request is a 422 whose sentence names the field."""
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["detail"].startswith(field)) == (422, True)


@pytest.mark.parametrize("query", ["!!!", "💡", "\x07", "'; DROP TABLE documents; --"])
def test_strange_queries(client: TestClient, query: str):
    """Any text can be searched for."""
    assert client.post(PATH, json={"query": query}).status_code == 200
