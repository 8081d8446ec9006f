"""An OpenAPI 3 document as endpoints: one for each operation, its body made from examples or the schema."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

_METHODS = ("get", "post", "put", "patch", "delete")
# Schemas may refer to themselves, each time with several branches: depth alone would not bound their number.
_MAX_DEPTH = 8
_MOST_VALUES = 1000  # of one request
_MOST_REFERENCES = 32  # from one to the next
# `minItems` and `minLength` are the document's numbers, of any size.
_MOST_ITEMS = 10
_LONGEST_TEXT = 1000
_PLAIN = {"integer": 1, "number": 1.0, "boolean": True, "string": "text"}
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "someone@example.org",
}


class _Source:
    """The document, and how many more values may be made of it for the request under way."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.left = _MOST_VALUES


def test_from_openapi(document: dict[str, Any]) -> dict[str, Any]:
    """Return a test that requests every operation equally often.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: the document does not have the form of OpenAPI 3.
    """
    endpoints = [
        _endpoint(_Source(document), path, method, item[method], item.get("parameters", []))
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    servers = [server["url"] for server in document.get("servers", []) if server.get("url", "").startswith("http")]
    return {"base_url": servers[0] if servers else "http://localhost:8000", "endpoints": endpoints}


def _endpoint(source: _Source, path: str, method: str, operation: dict[str, Any], shared: list[Any]) -> dict[str, Any]:
    parameters = [_resolved(source, one) for one in [*shared, *operation.get("parameters", [])]]
    endpoint: dict[str, Any] = {"path": _filled(source, path, parameters), "method": method.upper()}
    # The template, not the filled path, names the row: a thousand items are one endpoint.
    endpoint["name"] = f"{method.upper()} {path}"
    content = _resolved(source, operation.get("requestBody", {})).get("content", {})
    if "application/json" in content:
        endpoint["data"] = _example(source, content["application/json"])
    headers = {
        one["name"]: str(_example(source, one)) for one in parameters if one["in"] == "header" and one.get("required")
    }
    if headers:
        endpoint["headers"] = headers
    good = [int(status) for status in operation.get("responses", {}) if status.isdigit() and int(status) < 400]  # noqa: PLR2004
    if good:
        endpoint["expected_status"] = good
    return endpoint


def _filled(source: _Source, path: str, parameters: list[dict[str, Any]]) -> str:
    query = []
    for one in parameters:
        value = quote(str(_example(source, one)), safe="")
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", value)
        elif one["in"] == "query" and one.get("required"):
            query.append(f"{quote(one['name'])}={value}")
    return path + ("?" + "&".join(query) if query else "")


def _example(source: _Source, holder: dict[str, Any]) -> Any:
    """Return the example that a parameter or body has, or one that fits its schema."""
    if "example" in holder:
        return holder["example"]
    for named in holder.get("examples", {}).values():
        return _resolved(source, named).get("value")
    return _fitting(source, holder.get("schema", {}), 0)


def _fitting(source: _Source, schema: dict[str, Any], depth: int) -> Any:
    source.left -= 1
    if source.left < 0:
        return None
    schema = _resolved(source, schema)
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _fitting(source, schema[key][0], depth + 1) if depth < _MAX_DEPTH else None
    return _of_type(source, schema, depth)


def _of_type(source: _Source, schema: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if depth > _MAX_DEPTH:
        return None
    if kind == "object" or "properties" in schema:
        # Only what is required: optional fields more often need values that no example gives.
        required = schema.get("required", list(schema.get("properties", {})))
        parts = schema.get("properties", {})
        return {name: _fitting(source, parts[name], depth + 1) for name in required if name in parts}
    if kind == "array":
        items = min(max(1, schema.get("minItems", 1)), _MOST_ITEMS)
        return [_fitting(source, schema.get("items", {}), depth + 1)] * items
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text".ljust(min(schema.get("minLength", 0), _LONGEST_TEXT), "x"))
    if kind in {"integer", "number"}:
        return schema.get("minimum", _PLAIN[kind])
    return _PLAIN.get(str(kind))


def _resolved(source: _Source, part: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref` inside the document."""
    for _ in range(_MOST_REFERENCES):
        reference = part.get("$ref")
        if reference is None:
            return part
        found = source.document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        part = found
    raise ValueError("a $ref leads back to itself")
