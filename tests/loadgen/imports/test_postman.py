"""Postman collections become endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.scenario.body import body_of
from perfloop_loadgen.scenario.template import fill

if TYPE_CHECKING:
    from perfloop_loadgen.config import EndpointConfig
    from tests.loadgen.imports.conftest import Imported

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"


def _collection(*items: Any, **more: Any) -> dict[str, Any]:
    return {"info": {"name": "c", "schema": SCHEMA}, "item": list(items), **more}


def _item(request: Any, name: str = "r") -> dict[str, Any]:
    return {"name": name, "request": request}


def _one(imported: Imported, request: Any, **more: Any) -> EndpointConfig:
    [endpoint] = imported("postman", _collection(_item(request), **more)).endpoints
    return endpoint


def test_groups_variables_and_credentials(imported: Imported):
    """What a group hands down, what a request has of its own, and what is not here."""
    variables = [
        {"key": "base", "value": "https://{{host}}/v1"},
        {"key": "host", "value": "api.example.org"},
        {"key": "token", "value": "s3cr3t-value"},
    ]
    users = {
        "name": "users",
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}"}]},
        "item": [
            _item(
                {
                    "method": "GET",
                    "url": {"raw": "{{base}}/users/:id?page={{page}}", "variable": [{"key": "id", "value": "7"}]},
                },
                "read",
            ),
            _item({"method": "DELETE", "url": "{{base}}/users/1", "auth": {"type": "noauth"}}, "delete"),
        ],
    }
    other = _item({"method": "GET", "url": "https://elsewhere.example/x"})
    collection = _collection(users, other, variable=variables, event=[{"listen": "test", "script": {}}])
    config = imported("postman", {"collection": collection})
    read, delete = config.endpoints
    assert config.base_url == "https://api.example.org"
    assert (read.label, read.path) == ("users / read", "/v1/users/7?page=${env:PAGE}")
    assert read.headers == {"Authorization": "Bearer ${env:TOKEN}"}
    assert (delete.method, delete.headers) == ("DELETE", {})
    assert "s3cr3t-value" not in imported.text
    assert "Left out 1 times: a request to https://elsewhere.example" in imported.notes
    assert "The scripts of the collection are not here" in imported.notes


BODIES: list[tuple[dict[str, Any], bytes, str | None]] = [
    (
        {"mode": "raw", "raw": '{"a": "{{x}}"}', "options": {"raw": {"language": "json"}}},
        b'{"a":"one"}',
        "application/json",
    ),
    ({"mode": "raw", "raw": "n {{x}} ${y}"}, b"n one ${y}", "text/plain; charset=utf-8"),
    (
        {"mode": "raw", "raw": '{"n": {{number}}}', "options": {"raw": {"language": "json"}}},
        b'{"n":5}',
        "application/json",
    ),
    (
        {
            "mode": "urlencoded",
            "urlencoded": [
                {"key": "a", "value": "{{x}} &"},
                {"key": "b", "value": "2", "disabled": True},
                {"key": "a", "value": None},
            ],
        },
        b"a=one+%26&a=",
        "application/x-www-form-urlencoded",
    ),
    (
        {"mode": "graphql", "graphql": {"query": "{ a }", "variables": '{"b": 1}'}},
        b'{"query":"{ a }","variables":{"b":1}}',
        "application/json",
    ),
    ({"mode": "raw", "raw": ""}, b"", None),
    ({"mode": "raw", "raw": "x", "disabled": True}, b"", None),
]


@pytest.mark.parametrize(("body", "sent", "kind"), BODIES)
def test_bodies(imported: Imported, body: dict[str, Any], sent: bytes, kind: str | None):
    """Each mode, its variables filled; what only looks like a placeholder of the test is escaped."""
    variables = [{"key": "x", "value": "one"}, {"key": "number", "value": 5}]
    endpoint = _one(imported, {"method": "POST", "url": "http://h/x", "body": body}, variable=variables)
    filled = endpoint.model_copy(update={"data": fill(endpoint.data, {}), "form": fill(endpoint.form, {})})
    assert body_of(filled) == (sent, kind)


def test_uploads(imported: Imported):
    """Texts and files."""
    fields = [
        {"key": "t", "value": "v"},
        {"key": "f", "type": "file", "src": ["/tmp/a.png"]},
        {"key": "g", "type": "file"},
    ]
    endpoint = _one(imported, {"method": "POST", "url": "http://h/x", "body": {"mode": "formdata", "formdata": fields}})
    assert endpoint.multipart["t"][0].text == "v"
    assert [endpoint.multipart[name][0].file for name in "fg"] == ["/tmp/a.png", "file"]


@pytest.mark.parametrize(
    ("auth", "path", "headers"),
    [
        (
            {"type": "basic", "basic": {"username": "u", "password": "s3cr3tpw"}},
            "/x",
            {"Authorization": "Basic ${env:BASIC_AUTH}"},
        ),
        ({"type": "oauth2", "oauth2": []}, "/x", {"Authorization": "Bearer ${env:BEARER_TOKEN}"}),
        (
            {"type": "apikey", "apikey": [{"key": "key", "value": "X-K"}, {"key": "value", "value": "s3cr3tpw"}]},
            "/x",
            {"X-K": "${env:API_KEY}"},
        ),
        (
            {"type": "apikey", "apikey": {"key": "k", "value": "{{mine}}", "in": "query"}},
            "/x?k=${env:MINE}",
            {},
        ),
        ({"type": "hawk", "hawk": []}, "/x", {}),
        (None, "/x", {}),
    ],
)
def test_credentials(imported: Imported, auth: Any, path: str, headers: dict[str, str]):
    """Of both formats: lists of pairs, and mappings."""
    endpoint = _one(imported, {"method": "GET", "url": "http://h/x", "auth": auth})
    assert (endpoint.path, endpoint.headers) == (path, headers)
    assert "s3cr3tpw" not in imported.text


@pytest.mark.parametrize(
    ("url", "base", "path"),
    [
        ("h.example/x", "http://h.example", "/x"),
        ({"protocol": "https", "host": ["a", "b"], "port": "8443", "path": ["x", "y"]}, "https://a.b:8443", "/x/y"),
        ({"host": "h", "path": "x", "query": [{"key": "q", "value": "1"}]}, "http://h", "/x?q=1"),
        ("{{unknown}}/x", "http://localhost:8000", "/x"),
        ("http://h/{{$guid}}/{{$randomInt}}", "http://h", "/00000000-0000-4000-8000-000000000000/${iteration}"),
        ("http://h/:id", "http://h", "/1"),
    ],
)
def test_urls(imported: Imported, url: Any, base: str, path: str):
    """Texts, parts, variables that only an environment of Postman has, and those of its own."""
    config = imported("postman", _collection(_item({"method": "GET", "url": url})))
    assert (config.base_url, config.endpoints[0].path) == (base, path)


def test_headers(imported: Imported):
    """Lists and texts; what is switched off is left out, a variable in a secret is a placeholder of its own."""
    listed = [{"key": "X-A", "value": "1"}, {"key": "X-B", "value": "2", "disabled": True}]
    secret = [{"key": "Authorization", "value": "Bearer {{tok}}"}]
    assert _one(imported, {"url": "http://h/x", "header": listed}).headers == {"X-A": "1"}
    assert _one(imported, {"url": "http://h/x", "header": "X-A: 1\nX-B: 2"}).headers == {"X-A": "1", "X-B": "2"}
    assert _one(imported, {"url": "http://h/x", "header": secret}).headers == {"Authorization": "Bearer ${env:TOK}"}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "is not a Postman collection"),
        ({"requests": [], "order": []}, "format v1: export it as v2.1"),
        ({"item": []}, "holds no request that could be sent"),
        (
            {"item": [{"request": {"method": "VIEW", "url": "http://h"}}, {"request": {"url": "http://[::1"}}]},
            "holds no request",
        ),
        ([], "is not a Postman collection"),
    ],
)
def test_what_is_no_collection(imported: Imported, document: Any, problem: str):
    """One sentence."""
    with pytest.raises(ConfigError, match=problem):
        imported("postman", document)
