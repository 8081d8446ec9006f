"""The JSON Schemas that editors check thresholds.yml, slos.yml and prices.yml by."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from perfloop_base.errors import ConfigError
from perfloop_base.prices import parse_prices
from perfloop_base.schemas import SCHEMAS, prices_schema, slos_schema, thresholds_schema
from perfloop_base.slos import parse_slos
from perfloop_base.thresholds import parse_thresholds
from perfloop_rules.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIGNAL = {
    "signal": "a",
    "title": "A",
    "component": "api",
    "kind": "red",
    "unit": "ratio",
    "direction": "above",
    "warning": 0.1,
    "owner": "o",
    "alert": "A",
    "category": "errors",
    "record": "a:b:c",
    "expr": "a",
}
SLO = {
    "slo": "a",
    "title": "A",
    "alert": "A",
    "objective": 0.99,
    "component": "api",
    "owner": "o",
    "total": "a[$window]",
    "bad": "b[$window]",
}


def with_signal(**changes: Any) -> dict[str, Any]:
    """Return a file with one signal; a change to None takes a field away."""
    return {"signals": [{name: value for name, value in (SIGNAL | changes).items() if value is not None}]}


def with_slo(**changes: Any) -> dict[str, Any]:
    """Return a file with one objective."""
    return {"window": "30d", "slos": [{name: value for name, value in (SLO | changes).items() if value is not None}]}


def accepts(parse: Callable[[str, str], object], document: dict[str, Any]) -> bool:
    """Return whether the reader takes a document."""
    try:
        parse(yaml.safe_dump(document), "f.yml")
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_current(checkout: Path, tmp_path: Path, name: str):
    """The file is what `python -m perfloop_rules --schemas DIR` writes."""
    assert main(["--schemas", str(tmp_path)]) == 0
    assert (checkout / "docs" / "schemas" / name).read_text() == (tmp_path / name).read_text()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_file_is_valid_and_names_its_schema(checkout: Path, name: str):
    """An editor finds the schema by the first line of the file."""
    file = name.replace(".schema.json", ".yml")
    # No price ships as if it were true: prices.yml is an example.
    path = checkout / ("examples" if file == "prices.yml" else "prometheus") / file
    text = path.read_text()
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert found is not None
    schema = json.loads((path.parent / found[1]).read_text())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        (with_signal(), True),
        (with_signal(by=["service", "cache"], critical=0.2, goal=0, **{"for": "1h30m"}), True),
        (with_signal() | {"limits": {"A": {"info": 1, "owner": "o"}}, "overrides": None}, True),
        (with_signal() | {"overrides": [{"signal": "a", "service": "s", "critical": 1}]}, True),
        ({}, False),
        (with_signal() | {"signal": []}, False),
        (with_signal(warning=None), False),
        (with_signal(warning="much"), False),
        (with_signal(warning=-1), False),
        (with_signal(component="moon"), False),
        (with_signal(title=" "), False),
        (with_signal(owner=None), False),
        (with_signal(colour="red"), False),
        (with_signal(record="a-b"), False),
        (with_signal(by=[]), False),
        (with_signal(by=["a-b"]), False),
        (with_signal(**{"for": "soon"}), False),
        (with_signal() | {"limits": {"A": {"owner": "o"}}}, False),
        (with_signal() | {"limits": {"A": {"warning": 1}}}, False),
        (with_signal() | {"overrides": [{"signal": "a", "critical": 1}]}, False),
        (with_signal() | {"overrides": [{"signal": "a", "service": "s"}]}, False),
    ],
)
def test_the_schema_of_thresholds_agrees_with_the_reader(document: dict[str, Any], *, valid: bool):
    """What an editor underlines is what the programs refuse."""
    assert Draft202012Validator(thresholds_schema()).is_valid(document) is valid
    assert accepts(parse_thresholds, document) is valid


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        (with_slo(), True),
        (with_slo(within=0.5, bad="b{$within}[$window]", minimum_events=10), True),
        (with_slo(bad=None, good="b[$window]"), True),
        (with_slo() | {"window": "7d"}, False),
        (with_slo(objective=1), False),
        (with_slo(objective=0), False),
        (with_slo(good="b[$window]"), False),
        (with_slo(bad=None), False),
        (with_slo(within=0, bad="b{$within}[$window]"), False),
        (with_slo(component="moon"), False),
        (with_slo(alert=None), False),
        (with_slo(colour="red"), False),
    ],
)
def test_the_schema_of_slos_agrees_with_the_reader(document: dict[str, Any], *, valid: bool):
    """What an editor underlines is what the programs refuse."""
    assert Draft202012Validator(slos_schema()).is_valid(document) is valid
    assert accepts(parse_slos, document) is valid


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        ({"currency": "EUR", "prices": {"core_hour": 0.03, "gpu_hour": "2.5 EUR"}}, True),
        ({"currency": "EUR", "gpus": {"A100": 2}, "prices": None, "effort_hour": 80, "budget_hour": 0}, True),
        ({"currency": "EUR", "replicas": {"api": 1}, "goal": {"reduction": 0.3, "since": "2026-07-01"}}, True),
        ({"currency": "EUR", "replicas": {"api": 1}, "goal": None}, True),
        ({"prices": {"core_hour": 0.03}}, False),
        ({"currency": "€", "prices": {"core_hour": 0.03}}, False),
        ({"currency": ["EUR", "USD"], "prices": {"core_hour": 0.03}}, False),
        ({"currency": "EUR"}, False),
        ({"currency": "EUR", "prices": {}}, False),
        ({"currency": "EUR", "prices": {"core_hour": -1}}, False),
        ({"currency": "EUR", "prices": {"core_hour": None}}, False),
        ({"currency": "EUR", "prices": {"core_hour": True}}, False),
        ({"currency": "EUR", "prices": {"core_hour": 2e9}}, False),
        ({"currency": "EUR", "prices": {"core_hour": "0.03"}}, False),
        ({"currency": "EUR", "prices": {"core_hours": 0.03}}, False),
        ({"currency": "EUR", "gpus": {"A100": [1]}}, False),
        ({"currency": "EUR", "gpus": {"": 1}}, False),
        ({"currency": "EUR", "replicas": {"api": 1}, "goal": {"reduction": 25}}, False),
        ({"currency": "EUR", "replicas": {"api": 1}, "goal": {"since": "soon"}}, False),
        ({"currency": "EUR", "replicas": {"api": 1}, "budget": 1}, False),
    ],
)
def test_the_schema_of_prices_agrees_with_the_reader(document: dict[str, Any], *, valid: bool):
    """What an editor underlines is what the programs refuse."""
    assert Draft202012Validator(prices_schema()).is_valid(document) is valid
    assert accepts(parse_prices, document) is valid
