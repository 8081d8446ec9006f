"""JSON Schemas for editors of the YAML files that people write, made from the fields that the readers check by.

They hold what a schema can express; the readers know more (a critical limit lies beyond the warning's, an override
names a signal of the file). The files under docs/schemas are these; the first line of each YAML file points to its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_base.located import (
    DURATION_PATTERN,
    LABEL_PATTERN,
    METRIC_PATTERN,
    MOMENT_PATTERN,
    MONEY_PATTERN,
    MOST_MONEY,
)
from perfloop_base.prices import CURRENCY_PATTERN, FILE_FIELDS, GOAL_FIELDS, PRICE_FIELDS, PRICED
from perfloop_base.reports import CHANNELS, FEWEST_KEPT, KEEP, MOST_KEPT, NAME_PATTERN, REPORT_FIELDS
from perfloop_base.reports import FILE_FIELDS as REPORTS_FIELDS
from perfloop_base.scaling import LEAST_CONFIDENCE, MOST_CONFIDENCE, MOST_REPLICAS, SCALING_FIELDS, SERVICE_FIELD
from perfloop_base.slos import PERIOD, SLO_FIELDS
from perfloop_base.thresholds import LIMIT_FIELDS, OVERRIDE_FIELDS, SEVERITIES, SIGNAL_FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_base.located import Field

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def thresholds_schema() -> Schema:
    """Return the schema of thresholds.yml."""
    limits = _mapping(LIMIT_FIELDS, "The numbers of one alert of a pack.", one_of=("info", *SEVERITIES))
    override = _mapping(OVERRIDE_FIELDS, "Other limits for a service, a route, or both.", one_of=SEVERITIES)
    override["allOf"] = [{"anyOf": override.pop("anyOf")}, {"anyOf": _any_of(("service", "route"))}]
    return {
        "$schema": DRAFT,
        "title": "Perfloop: thresholds.yml",
        "type": "object",
        "additionalProperties": False,
        "required": ["signals"],
        "properties": {
            "signals": _list_of(_mapping(SIGNAL_FIELDS, "One number that is compared with limits.", one_of=SEVERITIES)),
            "overrides": _list_of(override),
            "limits": {"type": ["object", "null"], "additionalProperties": limits},
        },
    }


def slos_schema() -> Schema:
    """Return the schema of slos.yml."""
    slo = _mapping(SLO_FIELDS, "One promise: a share of good events.")
    slo["properties"]["objective"] |= {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
    slo["properties"]["within"] |= {"exclusiveMinimum": 0}
    slo["oneOf"] = _any_of(("bad", "good"))
    return {
        "$schema": DRAFT,
        "title": "Perfloop: slos.yml",
        "type": "object",
        "additionalProperties": False,
        "required": ["window"],
        "properties": {"window": {"const": PERIOD}, "slos": _list_of(slo)},
    }


def prices_schema() -> Schema:
    """Return the schema of prices.yml."""
    schema = _mapping(FILE_FIELDS, "What the resources cost of which services are made.")
    properties = schema["properties"]
    properties["currency"] |= {"pattern": f"^{CURRENCY_PATTERN}$"}
    properties["prices"] |= _mapping(PRICE_FIELDS, properties["prices"]["description"])
    goal = _mapping(GOAL_FIELDS, properties["goal"]["description"])
    goal["properties"]["reduction"] |= {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
    properties["goal"] |= goal
    for name in ("gpus", "replicas"):
        properties[name] |= {"additionalProperties": _KINDS["money"], "propertyNames": {"minLength": 1}}
    for name in ("prices", "gpus", "replicas", "goal"):
        properties[name]["type"] = ["object", "null"]
    priced = [{"properties": {name: {"minProperties": 1, "type": "object"}}, "required": [name]} for name in PRICED]
    return {"$schema": DRAFT, "title": "Perfloop: prices.yml", **schema, "anyOf": priced}


def reports_schema() -> Schema:
    """Return the schema of reports.yml."""
    report = _mapping(REPORT_FIELDS, "One report that is made again and again.")
    report["properties"]["report"]["pattern"] = f"^({NAME_PATTERN})$"
    report["properties"]["channels"]["items"] = {"enum": list(CHANNELS)}
    schema = _mapping(REPORTS_FIELDS, "Which reports are made when, and where they are sent.")
    schema["properties"]["keep"] |= {"type": "integer", "minimum": FEWEST_KEPT, "maximum": MOST_KEPT, "default": KEEP}
    schema["properties"]["reports"] = _list_of(report)
    return {"$schema": DRAFT, "title": "Perfloop: reports.yml", **schema}


def scaling_schema() -> Schema:
    """Return the schema of scaling.yml."""
    defaults = _scaling(SCALING_FIELDS, "What holds for every service that does not give it itself.")
    service = _scaling((SERVICE_FIELD, *SCALING_FIELDS), "What holds for one service.")
    return {
        "$schema": DRAFT,
        "title": "Perfloop: scaling.yml",
        "type": "object",
        "additionalProperties": False,
        "properties": {"defaults": defaults | {"type": ["object", "null"]}, "services": _list_of(service)},
    }


def _scaling(fields: Sequence[Field], about: str) -> Schema:
    schema = _mapping(fields, about)
    ranges = {
        "min_replicas": {"type": "integer", "maximum": MOST_REPLICAS},
        "max_replicas": {"type": "integer", "minimum": 1, "maximum": MOST_REPLICAS},
        "tolerance": {"exclusiveMaximum": 1},
        "confidence": {"minimum": LEAST_CONFIDENCE, "maximum": MOST_CONFIDENCE},
        "goal_growth": {"exclusiveMinimum": 0},
        "goal_requests_per_second": {"exclusiveMinimum": 0},
    }
    for name, rule in ranges.items():
        schema["properties"][name] |= rule
    return schema


# By the name of the published file.
SCHEMAS = {
    "thresholds.schema.json": thresholds_schema,
    "slos.schema.json": slos_schema,
    "prices.schema.json": prices_schema,
    "scaling.schema.json": scaling_schema,
    "reports.schema.json": reports_schema,
}


def _mapping(fields: Sequence[Field], about: str, one_of: Sequence[str] = ()) -> Schema:
    """Return the schema of a mapping that holds these fields, and at least one of `one_of`."""
    schema: Schema = {
        "type": "object",
        "description": about,
        "additionalProperties": False,
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: _value(field) for field in fields},
    }
    return schema | ({"anyOf": _any_of(one_of)} if one_of else {})


def _any_of(names: Sequence[str]) -> list[Schema]:
    return [{"required": [name]} for name in names]


def _list_of(items: Schema) -> Schema:
    return {"type": ["array", "null"], "items": items}


def _value(field: Field) -> Schema:
    kind = {"enum": list(field.choices)} if field.kind == "choice" else _KINDS[field.kind]
    return {"description": field.about, **kind, **({"default": field.default} if field.default else {})}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^({pattern})$"}


_KINDS: dict[str, Schema] = {
    "text": {"type": "string", "pattern": r"\S"},
    "number": {"type": "number", "minimum": 0},
    "duration": _text(DURATION_PATTERN),
    "metric": _text(METRIC_PATTERN),
    "labels": {"type": "array", "minItems": 1, "items": _text(LABEL_PATTERN)},
    "mapping": {"type": "object"},
    "money": {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MOST_MONEY},
            {"type": "string", "pattern": f"^{MONEY_PATTERN}$"},
        ]
    },
    "moment": _text(MOMENT_PATTERN),
}
