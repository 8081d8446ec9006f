"""Bodies of an OpenAPI document: schemas, what they refer to, and those that refer to themselves."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from perfloop_base.errors import ConfigError
from tests.loadgen.imports.conftest import body_of_schema, document_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loadgen.imports.conftest import Imported

SCHEMAS: list[tuple[Any, Any]] = [
    ({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {}}}, {"a": "text"}),
    (
        {
            "allOf": [
                {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
                {"type": "object", "required": ["b"], "properties": {"b": {"type": "integer"}}},
            ]
        },
        {"a": "text", "b": 1},
    ),
    ({"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 5}]}, 5),
    ({"anyOf": [{"const": "x"}, {"type": "integer"}]}, '"x"'),
    ({"type": ["string", "null"], "maxLength": 2}, '"te"'),
    ({"type": ["null", "array"], "items": {"type": "boolean"}}, [True]),
    ({"type": "array", "minItems": 2, "uniqueItems": True, "items": {"enum": ["a", "b", "c"]}}, ["a", "b"]),
    ({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 3}, 6),
    ({"type": "number", "minimum": 2, "exclusiveMinimum": True}, 2.5),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "object", "properties": {"id": {"type": "integer", "readOnly": True}, "n": {"const": 2}}}, {"n": 2}),
    ({"type": "object", "properties": {"when": {"type": "string", "format": "date"}}}, {"when": "2026-01-01"}),
    ({"type": "object", "properties": {"c": {"type": "string", "pattern": "^[A-Z]{3}$"}}}, {"c": "ABC"}),
    ({"type": "object", "additionalProperties": {"type": "string"}}, {}),
    ({"examples": [{"a": 1}]}, {"a": 1}),
    ({"type": "object", "properties": {"t": {"type": "string", "example": "${x}"}}}, {"t": "$${x}"}),
]


@pytest.mark.parametrize(("schema", "data"), SCHEMAS)
def test_bodies_fit_their_schema(imported: Imported, schema: Any, data: Any):
    """The example, or the smallest value that the rules allow; JSON Schema's own library agrees."""
    [endpoint] = imported("openapi", document_of(body_of_schema(schema))).endpoints
    assert endpoint.data == data
    sent = json.loads(data) if isinstance(data, str) else json.loads(json.dumps(data).replace("$${", "${"))
    if schema.get("exclusiveMinimum") is not True:  # the form of 3.0
        jsonschema.Draft202012Validator(schema).validate(sent)


def test_a_text_that_fits_no_pattern_is_noted(imported: Imported):
    """No common text fits; nor does a pattern that is none, or one that searches without an end, keep the import."""
    fields = {"a": "^Q{7}z$", "b": "(", "c": "^(a+)+$b"}
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "pattern": one} for name, one in fields.items()},
    }
    [endpoint] = imported("openapi", document_of(body_of_schema(schema))).endpoints
    assert endpoint.data == dict.fromkeys(fields, "text")
    assert "3 texts do not fit their pattern" in imported.notes


def test_an_alternative_says_which_it_is(imported: Imported):
    """The discriminator's field has the mapping's name, or else the schema's, of what was chosen."""
    schemas = {
        "Cat": {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}},
        "Pet": {
            "oneOf": [{"$ref": "#/components/schemas/Cat"}],
            "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/components/schemas/Cat"}},
        },
    }
    document = document_of(body_of_schema({"$ref": "#/components/schemas/Pet"}), components={"schemas": schemas})
    assert imported("openapi", document).endpoints[0].data == {"kind": "cat"}
    del schemas["Pet"]["discriminator"]["mapping"]
    assert imported("openapi", document).endpoints[0].data == {"kind": "Cat"}


def test_schemas_that_refer_to_themselves(imported: Imported):
    """Eight branches of a schema of itself, required or not, by `allOf` and lists too: a bounded body, at once."""
    node: dict[str, Any] = {"type": "object", "properties": {name: {"$ref": "#/n"} for name in "abcdefgh"}}
    for required in ([], list("abcdefgh")):
        document = document_of(body_of_schema({"$ref": "#/n"}), n={**node, "required": required})
        document["paths"] = {f"/{number}": document["paths"]["/a"] for number in range(100)}
        began = time.monotonic()
        assert imported("openapi", document).endpoints[0].data == {name: {} for name in required or "abcdefgh"}
        assert time.monotonic() - began < 20
        assert imported.text.count("\n") < 2000
    composed = {"allOf": [{"$ref": "#/c"}, {"$ref": "#/n"}], "properties": {"v": {"type": "integer"}}}
    assert (
        imported("openapi", document_of(body_of_schema({"$ref": "#/c"}), n=node, c=composed)).endpoints[0].data["v"]
        == 1
    )
    comment = {"type": "object", "required": ["text", "replies"], "properties": {"text": {"type": "string"}}}
    comment["properties"]["replies"] = {"type": "array", "items": {"$ref": "#/n"}}
    [endpoint] = imported("openapi", document_of(body_of_schema({"$ref": "#/n"}), n=comment)).endpoints
    assert endpoint.data == {"text": "text", "replies": []}


def test_schemas_of_many_branches(imported: Imported):
    """Each level of another schema, eight at each: cut off by the number of values, never by time."""
    levels = {
        f"l{number}": {
            "type": "object",
            "required": list("abcdefgh"),
            "properties": {name: {"$ref": f"#/l{number + 1}"} for name in "abcdefgh"},
        }
        for number in range(9)
    }
    imported("openapi", document_of(body_of_schema({"$ref": "#/l0"}), **levels, l9={"type": "integer"}))
    assert len(imported.text) < 20_000


def test_other_files_of_a_document(imported: Imported, tmp_path: Path):
    """Files beside it, and files beside those, each reference from where it stands."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "params.yaml").write_text(
        "p: {name: q, in: query, required: true, schema: {$ref: 's.json#/S'}}"
    )
    (tmp_path / "more" / "s.json").write_text('{"S": {"enum": ["here"]}}')
    document = document_of({"parameters": [{"$ref": "more/params.yaml#/p"}]})
    assert imported("openapi", document).endpoints[0].path == "/a?q=here"


def test_parts_of_a_document_that_are_other_files(imported: Imported, tmp_path: Path):
    """Its paths, its schemas: a pointer goes on in the file that is there instead."""
    (tmp_path / "paths.yaml").write_text("/a: {post: {requestBody: {$ref: 'd.json#/components/requestBodies/B'}}}")
    (tmp_path / "schemas.yaml").write_text("A: {enum: [7]}")
    schema = {"$ref": "#/components/schemas/A"}
    bodies = {"B": {"content": {"application/json": {"schema": schema}}}}
    components = {"schemas": {"$ref": "schemas.yaml"}, "requestBodies": bodies}
    [endpoint] = imported(
        "openapi", {"openapi": "3.0.0", "paths": {"$ref": "paths.yaml"}, "components": components}
    ).endpoints
    assert endpoint.data == 7


def test_files_that_are_not_there_are_named(imported: Imported):
    """All of them in one sentence; an address is not asked for."""
    parameters = [{"$ref": "common.json#/p"}, {"$ref": "https://example.org/x.yaml#/p"}]
    with pytest.raises(ConfigError) as caught:
        imported("openapi", document_of({"parameters": parameters}))
    [problem] = caught.value.problems
    assert "refers to what is not here: common.json (no such file), " in problem
    assert "https://example.org/x.yaml (nothing is fetched" in problem


@pytest.mark.parametrize("reference", ["#/nowhere/at/all", "#/itself", "#/paths/~1a/post/responses/0", "#"])
def test_a_reference_to_nothing_is_noted(imported: Imported, reference: str):
    """A document with a mistake is a test all the same."""
    document = document_of(body_of_schema({"$ref": reference}), itself={"$ref": "#/itself"})
    [endpoint] = imported("openapi", document).endpoints
    assert endpoint.path == "/a"
    assert reference == "#" or f"Nothing is at {reference}" in imported.notes


def test_rules_beside_a_reference_count(imported: Imported):
    """As 3.1 has it: the schema that is referred to, and more."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/s", "default": 7}, "b": {"$ref": "#/s"}}}
    document = document_of(body_of_schema(schema), s={"type": "integer", "minimum": 2})
    assert imported("openapi", document).endpoints[0].data == {"a": 7, "b": 2}
