"""The published JSON Schemas of the catalogue and the rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from perfloop_analyzer.catalog.loading import HERE as CATALOG
from perfloop_analyzer.recommend.rules import HERE as RULES
from perfloop_analyzer.schemas import MODELS, schema_of, write_schemas

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_published_schema_is_the_models(checkout: Path, name: str, tmp_path: Path) -> None:
    """`python -m perfloop_analyzer.schemas docs/schemas` was run after the last change of a model."""
    write_schemas(tmp_path)
    assert (checkout / "docs" / "schemas" / name).read_text() == (tmp_path / name).read_text()


@pytest.mark.parametrize(
    ("directory", "name"), [(CATALOG, "catalog.schema.json"), (RULES, "rules.schema.json")], ids=["catalog", "rules"]
)
def test_shipped_files_name_their_schema_and_follow_it(directory: Path, name: str) -> None:
    """An editor finds the schema by the first line, and has nothing to report."""
    validator = Draft202012Validator(schema_of(MODELS[name]))
    files = sorted(directory.glob("*.yml"))
    assert files
    for file in files:
        first, _, text = file.read_text().partition("\n")
        schema = (file.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
        assert json.loads(schema.read_text()) == schema_of(MODELS[name])
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == [], file.name


def test_an_editor_marks_an_unknown_field() -> None:
    """A misspelled field is an error in the editor too."""
    document = {"signals": [{"name": "a", "expr": "x", "component": "c", "kind": "use", "detekt": []}]}
    (error,) = Draft202012Validator(schema_of(MODELS["catalog.schema.json"])).iter_errors(document)
    assert "'detekt' was unexpected" in error.message
