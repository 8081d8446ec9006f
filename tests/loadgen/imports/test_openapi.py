"""OpenAPI and Swagger documents become tests that the program itself reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl

import pytest
import yaml
from fastapi import FastAPI, Header
from pydantic import BaseModel

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.importing import import_file
from perfloop_loadgen.imports.openapi import MOST_ENDPOINTS
from tests.loadgen.imports.conftest import OK, body_of_schema, document_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loadgen.imports.conftest import Imported


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


def test_a_document_of_a_real_framework(imported: Imported):
    """FastAPI's own document: every operation, with a body, a path and headers that fit its schema."""
    read, create = imported("openapi", _api()).endpoints
    assert (read.path, read.label) == ("/items/1?query=text", "GET /items/{item_id}")
    assert create.data == {"name": "text", "tags": ["text"]}
    assert create.headers == {"x-key": "text"}
    assert create.expected_status == [201]


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ({"in": "query", "schema": {"type": "array", "items": {"enum": ["red"]}}}, "/a?p=red"),
        ({"in": "query", "schema": {"type": "boolean"}}, "/a?p=true"),
        ({"in": "query", "example": ["a", "b c"]}, "/a?p=a&p=b%20c"),
        ({"in": "query", "explode": False, "example": ["a", "b"]}, "/a?p=a,b"),
        ({"in": "query", "style": "pipeDelimited", "explode": False, "example": ["a", "b"]}, "/a?p=a%7Cb"),
        ({"in": "query", "style": "spaceDelimited", "explode": False, "example": ["a", "b"]}, "/a?p=a%20b"),
        ({"in": "query", "style": "deepObject", "example": {"a": 1, "b": {"c": "d"}}}, "/a?p[a]=1&p[b][c]=d"),
        ({"in": "query", "example": {"a": 1, "b": 2}}, "/a?a=1&b=2"),
        ({"in": "query", "explode": False, "example": {"a": 1, "b": 2}}, "/a?p=a,1,b,2"),
        ({"in": "query", "content": {"application/json": {"example": {"a": 1}}}}, "/a?p=%7B%22a%22%3A1%7D"),
        ({"in": "query", "example": "größe/x"}, "/a?p=gr%C3%B6%C3%9Fe%2Fx"),
        ({"in": "query", "allowReserved": True, "example": "a/b"}, "/a?p=a/b"),
        ({"in": "query", "example": "${x}"}, "/a?p=%24%7Bx%7D"),
        ({"in": "query", "schema": {"type": ["null", "integer"], "minimum": 3}}, "/a?p=3"),
    ],
)
def test_parameters_of_a_query(imported: Imported, rules: dict[str, Any], path: str):
    """Each style of the standard, as servers read it."""
    parameter = {"name": "p", "required": True, **rules}
    assert imported("openapi", document_of({"parameters": [parameter]})).endpoints[0].path == path


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ({"schema": {"type": "integer", "minimum": 7}}, "/a/7/b"),
        ({"example": ["x", "y"]}, "/a/x,y/b"),
        ({"style": "label", "explode": True, "example": ["x", "y"]}, "/a/.x.y/b"),
        ({"style": "matrix", "example": "x"}, "/a/;p=x/b"),
        ({"style": "matrix", "explode": True, "example": {"k": "v"}}, "/a/;k=v/b"),
        ({"example": {"k": "v"}, "explode": True}, "/a/k=v/b"),
        ({"example": "a/b"}, "/a/a%2Fb/b"),
        ({"schema": {"enum": [True]}}, "/a/true/b"),
    ],
)
def test_parameters_of_a_path(imported: Imported, rules: dict[str, Any], path: str):
    """Each style of the standard."""
    parameter = {"name": "p", "in": "path", "required": True, **rules}
    assert imported("openapi", document_of({"parameters": [parameter]}, "/a/{p}/b")).endpoints[0].path == path


def test_headers_and_cookies(imported: Imported):
    """Required ones, joined as the standard says; what says who asks is no value of a test."""
    parameters = [
        {"name": "X-List", "in": "header", "required": True, "example": [1, 2]},
        {"name": "X-Optional", "in": "header", "example": 1},
        {"name": "Accept", "in": "header", "required": True, "example": "x"},
        {"name": "session", "in": "cookie", "required": True, "schema": {"type": "string"}},
        {"name": "token", "in": "cookie", "required": True, "schema": {"type": "string"}},
    ]
    [endpoint] = imported("openapi", document_of({"parameters": parameters})).endpoints
    assert endpoint.headers == {"X-List": "1,2", "Cookie": "session=text; token=${env:TOKEN}"}


FIELDS = {
    "type": "object",
    "properties": {
        "user": {"type": "string"},
        "tags": {"type": "array", "items": {"enum": ["a"]}},
        "more": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}},
    },
}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("application/vnd.api+json", {"data": {"user": "text", "tags": ["a"], "more": {"x": 1}}}),
        ("application/x-www-form-urlencoded", {"form": {"user": "text", "tags": "a", "more[x]": "1"}}),
        ("application/xml", {"data": "<Item><user>text</user><tags>a</tags><more><x>1</x></more></Item>"}),
        ("text/plain", {"data": '{"user":"text","tags":["a"],"more":{"x":1}}'}),
        ("*/*", {"data": {"user": "text", "tags": ["a"], "more": {"x": 1}}}),
    ],
)
def test_bodies_of_other_types(imported: Imported, kind: str, wanted: dict[str, Any]):
    """The content type is that of the document, and the body is written in it."""
    document = document_of(
        body_of_schema({"$ref": "#/components/schemas/Item"}, kind), components={"schemas": {"Item": FIELDS}}
    )
    [endpoint] = imported("openapi", document).endpoints
    assert {key: getattr(endpoint, key) for key in wanted} == wanted
    assert endpoint.headers == ({} if kind in {"*/*", "application/x-www-form-urlencoded"} else {"Content-Type": kind})


def test_an_upload(imported: Imported):
    """Files, values of JSON and plain fields, each as a part."""
    properties = {"file": {"type": "string", "format": "binary"}, "meta": {"type": "object", "example": {"a": 1}}}
    schema = {"type": "object", "properties": {**properties, "note": {"type": "string"}}}
    encoding = {"file": {"contentType": "image/png, image/jpeg"}}
    document = document_of(body_of_schema(schema, "multipart/form-data", encoding=encoding))
    parts = imported("openapi", document).endpoints[0].multipart
    assert [(name, part.text, part.content_type) for name, [part] in parts.items()] == [
        ("file", "text", "image/png"),
        ("meta", '{"a":1}', "application/json"),
        ("note", "text", None),
    ]


SCHEMES = {
    "bearerAuth": {"type": "http", "scheme": "bearer"},
    "login": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query_key": {"type": "apiKey", "in": "query", "name": "api_key"},
    "cookie_key": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "oauth": {"type": "oauth2", "flows": {}},
}


@pytest.mark.parametrize(
    ("security", "path", "headers"),
    [
        ([{"bearerAuth": []}], "/a", {"Authorization": "Bearer ${env:BEARER_AUTH}"}),
        ([{"login": []}, {"key": []}], "/a", {"Authorization": "Basic ${env:LOGIN}"}),
        ([{"key": [], "query_key": []}], "/a?api_key=${env:QUERY_KEY}", {"X-Key": "${env:KEY}"}),
        ([{"cookie_key": []}], "/a", {"Cookie": "sid=${env:COOKIE_KEY}"}),
        ([{"oauth": ["read"]}], "/a", {"Authorization": "Bearer ${env:OAUTH}"}),
        ([{}, {"key": []}], "/a", {}),
        ([], "/a", {}),
    ],
)
def test_credentials_come_from_the_environment(
    imported: Imported, security: list[Any], path: str, headers: dict[str, str]
):
    """The first alternative of the document, by its scheme; none where it may be left out."""
    document = document_of({"security": security}, components={"securitySchemes": SCHEMES}, security=[{"key": []}])
    [endpoint] = imported("openapi", document).endpoints
    assert (endpoint.path, endpoint.headers) == (path, headers)
    assert ("Set the variable" in imported.notes) is bool(security and all(security))


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ([{"url": "/v1"}], "http://localhost:8000/v1"),
        ([{"url": "//api.example.org/v1/"}], "https://api.example.org/v1"),
        (
            [{"url": "https://{host}:{port}", "variables": {"host": {"default": "a.b"}, "port": {"enum": ["8443"]}}}],
            "https://a.b:8443",
        ),
        ([{"url": "wss://a.b"}, {"url": "https://c.d"}], "https://c.d"),
        ([{"url": "https://münchen.example"}], "https://münchen.example"),
        ([{"url": "https://a b"}, {"url": ""}], "http://localhost:8000"),
        ([], "http://localhost:8000"),
    ],
)
def test_the_first_server_that_can_be_used(imported: Imported, servers: list[Any], url: str):
    """Variables have their defaults; a path is on this machine."""
    assert imported("openapi", document_of({}, servers=servers)).base_url == url


SWAGGER = {
    "swagger": "2.0",
    "host": "api.example.org",
    "basePath": "/v2",
    "schemes": ["http"],
    "consumes": ["application/json"],
    "securityDefinitions": {"key": {"type": "apiKey", "in": "header", "name": "api_key"}},
    "parameters": {"limit": {"name": "limit", "in": "query", "required": True, "type": "integer", "minimum": 2}},
    "definitions": {"Pet": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
    "paths": {
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "type": "string", "format": "uuid"}],
            "get": {
                "parameters": [
                    {"$ref": "#/parameters/limit"},
                    {
                        "name": "tags",
                        "in": "query",
                        "required": True,
                        "type": "array",
                        "items": {"type": "string", "enum": ["a"]},
                        "minItems": 2,
                        "collectionFormat": "multi",
                    },
                ],
                "responses": {200: {"description": "ok"}, "default": {"description": "error"}},
            },
            "put": {
                "security": [{"key": []}],
                "parameters": [{"name": "body", "in": "body", "schema": {"$ref": "#/definitions/Pet"}}],
                "responses": {},
            },
            "post": {
                "consumes": ["application/x-www-form-urlencoded"],
                "parameters": [
                    {"name": "n", "in": "formData", "required": True, "type": "integer"},
                    {"name": "optional", "in": "formData", "type": "integer"},
                ],
                "responses": {},
            },
            "patch": {
                "consumes": ["multipart/form-data"],
                "parameters": [{"name": "f", "in": "formData", "required": True, "type": "file"}],
                "responses": {},
            },
        }
    },
}


def test_swagger_2_is_read_right(imported: Imported):
    """Server, values of parameters, bodies and forms that are parameters, credentials."""
    config = imported("openapi", yaml.safe_dump(SWAGGER), "petstore.yaml")
    get, post, put, patch = config.endpoints
    assert config.base_url == "http://api.example.org/v2"
    assert get.path == "/pets/00000000-0000-4000-8000-000000000000?limit=2&tags=a&tags=a"
    assert get.expected_status == [200]
    assert put.data == {"name": "text"}
    assert put.headers == {"api_key": "${env:KEY}"}
    assert post.form == {"n": "1"}
    assert patch.multipart["f"][0].filename == "file"


YAML = """
openapi: 3.0.3
info: {title: t, version: 2026-01-01}
paths:
  /a:
    get:
      parameters:
      - {name: on, in: query, required: true, schema: {type: string, enum: [on, off]}}
      - {name: day, in: query, required: true, example: 2026-02-03}
      - {name: n, in: query, required: true, schema: {type: string, default: 010}}
      responses:
        200: {description: ok}
        404: {description: none}
        5XX: {description: error}
"""


def test_yaml_is_read_as_the_standard_asks(imported: Imported):
    """YAML 1.2: keys of statuses without quotes, dates and `on` are texts."""
    [endpoint] = imported("openapi", YAML, "a.yaml").endpoints
    assert endpoint.path == "/a?on=on&day=2026-02-03&n=10"
    assert endpoint.expected_status == [200]


@pytest.mark.parametrize("text", ['{\n\t"openapi": "3.0.0",\n\t"paths": {"/a": {"get": {}}}%s\n}', "\ufeff%s" + YAML])
def test_tabs_and_byte_order_marks_change_nothing(imported: Imported, text: str):
    """JSON with tabs, with a comma too many (which YAML allows, but not with tabs), and the mark of some editors."""
    assert imported("openapi", text % "").endpoints[0].path.startswith("/a")
    if text.startswith("{"):
        assert imported("openapi", text % ",").endpoints[0].path == "/a"


def test_servers_of_paths_and_operations(imported: Imported):
    """Used where the document has none, and noted where it has others."""
    item = {"servers": [{"url": "https://files.example.org"}], "get": {"responses": OK}}
    config = imported("openapi", {"openapi": "3.0.0", "paths": {"/f": item}})
    assert config.base_url == "https://files.example.org"
    both = {"openapi": "3.0.0", "servers": [{"url": "https://a.example.org"}], "paths": {"/f": item}}
    assert imported("openapi", both).base_url == "https://a.example.org"
    assert "1 operations have servers of their own" in imported.notes


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"openapi": "3.1.0", "webhooks": {"x": {"post": {}}}}, "webhooks are requests that the service sends"),
        ({"openapi": "3.1.0", "components": {}}, "describes no request that could be sent"),
        ({"openapi": "4.0.0", "paths": {}}, "only OpenAPI 3 and Swagger 2.0 are known"),
        ({"swaggerVersion": "1.2", "apis": []}, "of the form Swagger 1"),
        ({"asyncapi": "2.0.0"}, "of the form AsyncAPI"),
        ({"log": {"entries": []}}, "of the form HAR"),
        ({"a": 1}, "is not an OpenAPI document"),
        ([], "is not an OpenAPI document"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(imported: Imported, document: Any, problem: str):
    """Why, with the file's name."""
    with pytest.raises(ConfigError, match=problem) as caught:
        imported("openapi", document)
    assert len(caught.value.problems) == 1
    assert "d.json: " in str(caught.value)


def test_a_large_document_is_a_file_that_people_can_search(imported: Imported):
    """A line for each request, a bounded number of them, and a note about the rest."""
    item = document_of({"parameters": [{"name": "p", "in": "query", "required": True}], **body_of_schema(FIELDS)})[
        "paths"
    ]["/a"]
    document = {"openapi": "3.0.0", "paths": {f"/{number}/{{id}}": item for number in range(MOST_ENDPOINTS + 5)}}
    config = imported("openapi", document)
    assert len(config.endpoints) == MOST_ENDPOINTS
    assert imported.text.count("\n") < 2000
    assert "Only the first 1500 operations" in imported.notes
    assert config.endpoints[-1].data == {"user": "text", "tags": ["a"], "more": {"x": 1}}


def test_texts_of_many_lines_take_one(imported: Imported):
    """In a block and in a line of a large document."""
    text = "one\ntwo \r\n\n\u2028three\t" * 40
    item = document_of(body_of_schema({}, "text/plain", example=text))["paths"]["/a"]
    for number in (1, 400):
        config = imported("openapi", {"openapi": "3.0.0", "paths": {f"/{one}": item for one in range(number)}})
        assert config.endpoints[-1].data == text
        assert imported.text.count("\n") < 10 * number + 20


def test_paths_that_are_none(imported: Imported):
    """Undeclared parameters, fragments, spaces, queries in the path: what can be sent, with a note."""
    paths = {"/a b/{x}/ü": {}, "/q?comp=list": {}, "/#Action=x": {}, "rel": {}, "x-y": {}}
    config = imported("openapi", {"openapi": "3.0.0", "paths": {path: {"get": {}} for path in paths}})
    assert [endpoint.path for endpoint in config.endpoints] == ["/a%20b/1/%C3%BC", "/q?comp=list", "/", "/rel"]
    assert "Left out 1 times: a parameter in a path that the document does not describe" in imported.notes


def test_the_command_prints_what_run_reads(tmp_path: Path):
    """The form of a mapping of texts is what a server gets."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps(document_of(body_of_schema(FIELDS, "application/x-www-form-urlencoded"))))
    text = import_file("openapi", path)
    [endpoint] = yaml.safe_load(text)["load_tests"]["d"]["endpoints"]
    assert endpoint["form"] == dict(parse_qsl("user=text&tags=a&more[x]=1"))
