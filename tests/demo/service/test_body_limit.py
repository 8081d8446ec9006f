from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

MIB = 1024 * 1024


def _chunks(count: int) -> Iterator[bytes]:
    yield b'{"content": "'
    for _ in range(count):
        yield b"x" * MIB
    yield b'"}'


@pytest.mark.parametrize("path", ["/api/v1/process/text", "/faults"])
def test_declared_length(client: TestClient, path: str):
    """A body that says it is too long is refused unread."""
    method = "PUT" if path == "/faults" else "POST"
    answer = client.request(method, path, content=b"x" * (17 * MIB))
    assert (answer.status_code, answer.json()["detail"].startswith("The body is longer than")) == (413, True)


def test_chunked_body(client: TestClient):
    """A body that does not say how long it is, is refused as soon as it is too long."""
    headers = {"content-type": "application/json"}
    answer = client.post("/api/v1/process/text", content=_chunks(20), headers=headers)
    assert (answer.status_code, answer.json()["detail"].startswith("The body is longer than")) == (413, True)


def test_long_body_within_the_limit(client: TestClient):
    """Below the limit the route itself judges."""
    assert client.post("/api/v1/process/text", json={"content": "x" * MIB}).status_code == 422
