from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PATH = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 6}


def _stream(client: TestClient, **changes: Any) -> list[dict[str, Any]]:
    with client.stream("POST", PATH, json={**HELLO, "stream": True, **changes}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_whole_answer(client: TestClient):
    """Without `stream` the answer comes in one piece, with usage."""
    answer = client.post(PATH, json=HELLO).json()
    (choice,) = answer["choices"]
    assert (answer["object"], choice["message"]["role"], choice["finish_reason"]) == (
        "chat.completion",
        "assistant",
        "length",
    )
    assert len(choice["message"]["content"].split()) == 6
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


def test_streamed_answer_is_the_same(client: TestClient):
    """Streamed, the same words come one event at a time, and the last event says why it ends."""
    whole = client.post(PATH, json=HELLO).json()["choices"][0]["message"]["content"]
    events = _stream(client)
    words = [event["choices"][0]["delta"].get("content", "") for event in events]
    assert ("".join(words), len([word for word in words if word])) == (whole, 6)
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert len({event["id"] for event in events}) == 1


def test_usage_of_a_stream(client: TestClient):
    """Usage ends a stream when it is asked for."""
    last = _stream(client, stream_options={"include_usage": True})[-1]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 6)


def test_multimodal_content_and_unknown_parameters(client: TestClient):
    """Content in parts is read, and parameters this model has no use for are ignored, as clients expect."""
    content = [{"type": "text", "text": "hello there"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    body = {**HELLO, "messages": [{"role": "user", "content": content}], "temperature": 0.2}
    assert client.post(PATH, json=body).json()["usage"]["prompt_tokens"] == 2


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000", r"\ud83d\udca1"])
@pytest.mark.parametrize("content", ['"%s"', '[{"type": "text", "text": "%s"}]'])
def test_strange_characters(client: TestClient, content: str, text: str):
    """Unpaired surrogates and zeros are answered: nothing of a conversation is stored."""
    body = '{"messages": [{"role": "user", "content": %s}], "max_tokens": 1}' % (content % text)
    answer = client.post(PATH, content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": []},
        {"messages": [{"role": "king", "content": "x"}]},
        {"messages": "hello"},
        {"max_tokens": 0},
        {"max_tokens": 100_000},
        {"stream": "perhaps"},
    ],
)
def test_bad_request(client: TestClient, changes: dict[str, Any]):
    """A bad request is a 422 with a sentence."""
    answer = client.post(PATH, json={**HELLO, **changes})
    assert (answer.status_code, answer.json()["detail"][-1]) == (422, ".")
