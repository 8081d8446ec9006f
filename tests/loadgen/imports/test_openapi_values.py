"""The values that are made for an OpenAPI document are valid: JSON Schema and a real framework say so."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import jsonschema
import uvicorn
from fastapi import Body, Cookie, Depends, FastAPI, Header, Path, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from perfloop_loadgen import LoadTester
from perfloop_loadgen.imports.found import Found
from perfloop_loadgen.imports.openapi import test_from_openapi as read_openapi
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.loadgen.imports.conftest import Imported


class Kind(StrEnum):
    """A choice."""

    SMALL = "small"
    LARGE = "large"


class Cat(BaseModel):
    """One of two; a field says which."""

    kind: Literal["cat"]
    lives: int = Field(ge=7, le=9)


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"]
    name: str


class Order(BaseModel):
    """A body with most of what a schema can ask for."""

    sku: str = Field(pattern="^[A-Z]{3}$")
    amount: int = Field(gt=4, multiple_of=5)
    price: float = Field(ge=0.5, lt=2)
    note: str = Field(min_length=12, max_length=20)
    when: Annotated[str, Field(json_schema_extra={"format": "date"})]
    identity: UUID
    kinds: list[Kind] = Field(min_length=2)
    pet: Cat | Dog = Field(discriminator="kind")
    parent: Order | None = None
    maybe: int | None
    extra: dict[str, int]


def _app() -> FastAPI:
    app = FastAPI()
    key, token = APIKeyHeader(name="X-Key"), HTTPBearer()

    @app.get("/items/{item}/{part:path}")
    def read(  # noqa: PLR0913, PLR0917 - what the operation has
        item: Annotated[int, Path(ge=3)],
        part: str,
        kind: Kind,
        tags: Annotated[list[str], Query(min_length=1)],
        session: Annotated[str, Cookie()],
        x_trace: Annotated[UUID, Header()],
    ) -> None: ...

    @app.post("/orders", status_code=201)
    def create(order: Order) -> None: ...

    @app.put("/texts")
    def put(text: Annotated[str, Body()], flag: Annotated[bool, Body()]) -> None: ...

    @app.delete("/safe/{name}", dependencies=[Depends(key)])
    def delete(name: Kind) -> None: ...

    @app.get("/bearer", dependencies=[Depends(token)])
    def bearer(request: Request) -> str:
        return request.headers["authorization"]

    return app


@contextmanager
def _serving(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, "uvicorn")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_real_framework_takes_every_request(imported: Imported, monkeypatch: pytest.MonkeyPatch):
    """Each operation of the document that FastAPI itself writes is answered as expected, none as invalid."""
    app = _app()
    config = imported("openapi", app.openapi())
    monkeypatch.setenv("API_KEY_HEADER", "k-e-y")
    monkeypatch.setenv("HTTP_BEARER", "t-o-k-e-n")
    with _serving(app) as url:
        update = {"base_url": url, "duration_seconds": 1, "concurrent_users": 2, "think_time_seconds": 0.01}
        summary = asyncio.run(LoadTester(config.model_copy(update=update)).run_load_test())
    assert {endpoint.label: dict(endpoint.outcomes) for endpoint in summary.endpoints if endpoint.failed_requests} == {}
    assert len([endpoint for endpoint in summary.endpoints if endpoint.total_requests]) == 5


def _number(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(-50, 50), st.integers(0, 50))
    return bounds.flatmap(
        lambda found: st.fixed_dictionaries(
            {"type": st.just(kind)},
            optional={"minimum": st.just(found[0]), "maximum": st.just(found[0] + found[1])},
        )
    )


TEXTS = st.tuples(st.integers(0, 20), st.integers(0, 20)).flatmap(
    lambda found: st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={"minLength": st.just(found[0]), "maxLength": st.just(found[0] + found[1])},
    )
)
PLAIN = st.one_of(
    _number("integer"),
    _number("number"),
    TEXTS,
    st.just({"type": "boolean"}),
    st.just({"type": ["null", "string"]}),
    st.just({"enum": ["b", 3]}),
    st.just({"const": {"a": [1]}}),
    st.sampled_from(["date", "date-time", "uuid", "email", "ipv4", "uri"]).map(
        lambda form: {"type": "string", "format": form}
    ),
    st.sampled_from(["^[a-z]+$", "^[A-Z]{2}$", "^[0-9]{4}$", "^v[0-9]+$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)


def _object(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4).flatmap(
        lambda fields: (
            st.fixed_dictionaries(
                {"type": st.just("object"), "properties": st.just(fields)},
                optional={"required": st.lists(st.sampled_from(sorted(fields) or ["x"]), max_size=3, unique=True)},
            )
            if fields
            else st.just({"type": "object"})
        )
    )


def _inner(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = _object(inner)
    arrays = st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 4)})
    # Objects whose fields cannot contradict each other.
    composed = st.lists(objects, min_size=1, max_size=3).map(
        lambda parts: {
            "allOf": [
                {
                    "type": "object",
                    "properties": {f"{name}{number}": rules for name, rules in part.get("properties", {}).items()},
                    "required": [f"{name}{number}" for name in part.get("required", ()) if name in part["properties"]],
                }
                for number, part in enumerate(parts)
            ]
        }
    )
    chosen = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    return st.one_of(objects, arrays, composed, chosen)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.recursive(PLAIN, _inner, max_leaves=8))
def test_values_fit_any_schema(schema: dict[str, Any]):
    """As the library `jsonschema` judges them, formats included."""
    operation = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    test = read_openapi({"openapi": "3.1.0", "paths": {"/a": {"post": operation}}}, Found(), None)
    data = test["endpoints"][0]["data"]
    value = json.loads(data) if isinstance(data, str) else data
    checker = jsonschema.FormatChecker(["date", "uuid", "ipv4", "email"])
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)
