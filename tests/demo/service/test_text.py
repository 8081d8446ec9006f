from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PATH = "/api/v1/process/text"


def test_analysis_and_row(client: TestClient):
    """A text comes back analysed, and is a document that a search finds."""
    text = "Zebras graze. Zebras sleep under zebra trees at noon. Nothing else."
    answer = client.post(PATH, json={"content": text}).json()
    assert (answer["words"], answer["keywords"][0], answer["cached"]) == (11, "zebras", False)
    assert answer["summary"] == "Zebras sleep under zebra trees at noon"
    found = client.post("/api/v1/search", json={"query": "zebras graze", "limit": 1}).json()["results"]
    assert found[0]["id"] == answer["id"]


def test_equal_text_is_answered_from_the_cache(client: TestClient):
    """The second time the analysis is cached and the row is the same one."""
    first, second = (client.post(PATH, json={"content": "The same text twice."}).json() for _ in range(2))
    assert (first["cached"], second["cached"], second["id"]) == (False, True, first["id"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "content is missing."),
        ({"content": ""}, "content has the value '': String should have at least 1 character."),
        ({"content": "  "}, "content has the value '  ': String should have at least 1 character."),
        ({"content": 7}, "content has the value 7: Input should be a valid string."),
        ({"content": "x", "lang": "en"}, "lang is an unknown field."),
        ({"content": "a\0"}, "content has the value 'a\\x00': must not contain the character U+0000."),
        ([], "body has the value []: Input should be a valid dictionary or object to extract fields from."),
    ],
)
def test_bad_request(client: TestClient, body: Any, sentence: str):
    """A bad request is a 422 with one sentence for each thing that is wrong."""
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)


def test_too_long_a_text(client: TestClient):
    """A text over the limit is refused, and the sentence does not repeat all of it."""
    answer = client.post(PATH, json={"content": "x" * 100_001})
    assert (answer.status_code, len(answer.json()["detail"]) < 250) == (422, True)


@pytest.mark.parametrize(
    ("path", "field", "rest", "accepted"),
    [
        (PATH, "content", "", 200),
        ("/api/v1/search", "query", "", 200),
        ("/api/v1/agents", "name", ', "goal": "b"', 201),
        ("/api/v1/process/image", "image", "", 422),  # no base64
    ],
)
def test_strange_characters(client: TestClient, path: str, field: str, rest: str, accepted: int):
    """Every route rejects unpaired surrogates and zeros, which no database can store, and accepts a surrogate pair."""
    codes = {}
    for text in (r"\ud800", r"\u0000", r"\ud83d\udca1"):
        body = f'{{"{field}": "a{text}"{rest}}}'
        answer = client.post(path, content=body.encode(), headers={"content-type": "application/json"})
        codes[text] = answer.status_code
    assert codes == {r"\ud800": 422, r"\u0000": 422, r"\ud83d\udca1": accepted}


def test_many_writers_at_once(client: TestClient):
    """Two hundred new texts by twenty at once all become rows."""
    with ThreadPoolExecutor(20) as pool:
        texts = ({"content": f"Parallel text {number}."} for number in range(200))
        answers = list(pool.map(lambda text: client.post(PATH, json=text), texts))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 200


def test_no_json(client: TestClient):
    """What is no JSON is a 422 as well."""
    answer = client.post(PATH, content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 422
