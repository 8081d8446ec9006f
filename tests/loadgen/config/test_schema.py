"""The JSON Schema of load test files: generated from the models, and referenced by the files that ship."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from perfloop_loadgen.cli import main
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.model import load_test_schema

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "docs/schemas/load_test.schema.json"
SHIPPED = ("demo/steady.yml", "demo/perfloop_demo/tour/load.yml", "examples/load_test.yml")


def test_the_published_schema_is_current(checkout: Path, capsys: pytest.CaptureFixture[str]):
    """The file is what `perfloop loadgen schema --of test` prints."""
    assert main(["schema", "--of", "test"]) == 0
    assert (checkout / SCHEMA).read_text() == capsys.readouterr().out


def test_the_schema_allows_what_the_reader_allows():
    """A status may be one number, a test may be the only one, JSON keys are those of the file."""
    schema = load_test_schema()
    endpoint = schema["$defs"]["EndpointConfig"]["properties"]
    assert {"type": "integer"} in endpoint["expected_status"]["anyOf"]
    assert "json" in schema["$defs"]["CheckConfig"]["properties"]
    assert {"$ref": "#/$defs/LoadTestConfig"} in schema["properties"]["load_tests"]["anyOf"]
    assert schema["$defs"]["LoadTestConfig"]["additionalProperties"] is False


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_name_the_schema(checkout: Path, name: str):
    """An editor finds the schema by the first line of the file, and the file is valid."""
    path = checkout / name
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
    assert found is not None
    assert (path.parent / found[1]).resolve() == checkout / SCHEMA
    jsonschema.validate(yaml.safe_load(path.read_text()), load_test_schema())
    assert LoadTestConfig.all_from_yaml(path)


@pytest.mark.parametrize(
    "test",
    [
        {"endpoints": [{"path": "/", "expected_status": 201}], "thresholds": ["p95 < 1 s", {"expect": "rate > 3"}]},
        {"load": {"shape": "spike"}, "scenarios": [{"steps": [{"path": "/", "checks": [{"json": "a"}]}]}]},
    ],
)
def test_a_good_file_fits_the_schema(test: dict[str, Any]):
    """As the only test, and by name; the reader accepts the same."""
    jsonschema.validate({"load_tests": {"a": test}}, load_test_schema())
    jsonschema.validate({"load_tests": test}, load_test_schema())
    LoadTestConfig.model_validate(test)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"load_tests": {"a": {"concurrent_users": 0}}},
        {"load_tests": {"a": {"users": 3}}},
        {"load_tests": {"a": {"load": {"shape": "spikes"}}}},
        {"load_tests": {"a": {"endpoints": [{"method": "GET"}]}}},
        {"load_tests": {}, "other": 1},
    ],
)
def test_a_bad_file_does_not_fit_the_schema(document: dict[str, Any]):
    """An editor marks what the reader refuses."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, load_test_schema())
