"""OpenAPI and HAR become tests that the program itself reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import FastAPI, Header
from pydantic import BaseModel

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.importing import import_file
from perfloop_loadgen.config import LoadTestConfig

if TYPE_CHECKING:
    from pathlib import Path


class Item(BaseModel):
    """A body with a nested list, so that the schema holds references."""

    name: str
    tags: list[str]
    price: float = 2.5


def _api() -> dict[str, Any]:
    app = FastAPI()

    @app.get("/items/{item_id}")
    def read(item_id: int, query: str, page: int = 1) -> Item: ...

    @app.post("/items", status_code=201)
    def create(item: Item, x_key: Annotated[str, Header()]) -> Item: ...

    return app.openapi()


def test_an_openapi_document_of_a_real_framework(tmp_path: Path):
    """FastAPI's own document: every operation, with a body, a path and headers that fit its schema."""
    path = tmp_path / "api.json"
    path.write_text(json.dumps(_api()))
    made = tmp_path / "test.yml"
    made.write_text(import_file("openapi", path))
    read, create = LoadTestConfig.from_yaml(made).endpoints
    assert (read.path, read.label) == ("/items/1?query=text", "GET /items/{item_id}")
    assert create.data == {"name": "text", "tags": ["text"]}
    assert create.headers == {"x-key": "text"}
    assert create.expected_status == [201]


def _entry(url: str, began: str, took: float, **request: Any) -> dict[str, Any]:
    asked = {"method": "GET", "url": url, "headers": []} | request
    return {"startedDateTime": began, "time": took, "request": asked, "response": {"status": 200}}


def test_a_recording_keeps_order_pauses_and_no_secret(tmp_path: Path):
    """Two requests with a second between them; another host, cookies and connection headers are left out."""
    headers = [{"name": n, "value": v} for n, v in (("Cookie", "s=1"), (":path", "/"), ("Host", "a"), ("X-A", "b"))]
    entries = [
        _entry("https://a.example/login?x=1", "2026-01-01T00:00:00.000+00:00", 500, headers=headers),
        _entry("https://ads.example/x", "2026-01-01T00:00:00.600+00:00", 1),
        _entry("https://a.example/cart", "2026-01-01T00:00:01.500Z", 10, method="POST", postData={"text": '{"id": 3}'}),
    ]
    path = tmp_path / "shop.har"
    path.write_text(json.dumps({"log": {"entries": entries}}))
    made = tmp_path / "test.yml"
    made.write_text(import_file("har", path))
    config = LoadTestConfig.from_yaml(made)
    login, cart = config.scenarios[0].steps
    assert config.base_url == "https://a.example"
    assert (login.path, login.think_time_seconds, login.headers) == (
        "/login?x=1",
        1.0,
        {"Cookie": "<secret>", "X-A": "b"},
    )
    assert (cart.method, cart.data) == ("POST", {"id": 3})
    assert config.requested == []


@pytest.mark.parametrize(
    ("form", "text"), [("har", "{}"), ("openapi", '{"paths": [1]}'), ("har", "[]"), ("har", "a: [")]
)
def test_what_is_not_of_the_form_is_refused(tmp_path: Path, form: str, text: str):
    """One sentence that names the file."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x\.json: is n"):
        import_file(form, path)
