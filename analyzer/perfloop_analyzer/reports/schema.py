"""The JSON Schema of a report's JSON form; docs/schemas/report.schema.json is this.

`python -m perfloop_analyzer.reports.schema` writes it to standard output.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.reports.document import SCHEMA_VERSION
from perfloop_base.reports import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_MOMENT: Schema = {"type": "string", "format": "date-time", "description": "in UTC"}
_UNIX: Schema = {"type": "number", "description": "Unix seconds"}


def report_schema() -> Schema:
    """Return the schema of every kind of report; a kind has the parts that it shows."""
    head: dict[str, Schema] = {
        "schema": {"const": SCHEMA_VERSION},
        "report": {"enum": list(KINDS)},
        "title": _TEXT,
        "from": _MOMENT,
        "to": _MOMENT,
        "time_zone": _TEXT,
        "made": _MOMENT,
        "headlines": _list(_TEXT, "what a reader must know who reads nothing else"),
        "unknown": _list(_TEXT, "what could not be found out, and why"),
    }
    parts: dict[str, Schema] = {
        "matters": _list(_TEXT, "what needs attention, the most urgent first; of the weekly review"),
        "next": _list(_TEXT, "what to do next; of the weekly review"),
        "alerts": _alerts(),
        "capacity": _object({"services": _list(_service())}),
        "optimization": _optimization(),
    }
    schema = _object(head | parts)
    return {"$schema": DRAFT, "title": "Perfloop: a report", **schema, "required": list(head)}


def _alerts() -> Schema:
    episode = _object({"from": _UNIX, "to": _UNIX, "began": _FLAG, "ended": _FLAG})
    alert: dict[str, Schema] = {
        "alertname": _TEXT,
        "service": _TEXT,
        "severity": _TEXT,
        "times": _COUNT,
        "seconds": _NUMBER,
        "firing": _FLAG | {"description": "whether it fires on at the end of the span"},
        "episodes": _list(episode),
        "informed": _nullable({"type": "object", "additionalProperties": _COUNT}, "messages that arrived, by channel"),
        "acts": _nullable(_list(_TEXT), "what was done about it; null where nobody knows"),
        "noise": _nullable(_FLAG, "whether nobody acted on it"),
        "repeat_offender": _FLAG,
    }
    channel = {"channel": _TEXT, "sent": _nullable(_NUMBER), "failed": _nullable(_NUMBER)}
    return _object(
        {
            "known": _FLAG,
            "coverage": {"type": "number", "minimum": 0, "maximum": 1, "description": "of the span, by Prometheus"},
            "times": _COUNT,
            "alerts": _list(_object(alert)),
            "channels": _list(_object(channel), "as Alertmanager counts"),
        }
    )


def _service() -> Schema:
    rate = _nullable(_NUMBER, "requests per second")
    week = {
        "start": _UNIX,
        "coverage": _NUMBER,
        "rate": rate,
        "peak": rate,
        "p95": _nullable(_NUMBER, "seconds, of the middle hour"),
        "worst_p95": _nullable(_NUMBER, "seconds, of the slowest hour"),
        "errors": _nullable(_NUMBER, "share of the requests"),
    }
    hour = {"type": "integer", "minimum": 0, "maximum": 23}
    season = _object(
        {
            "strength": _NUMBER,
            "busiest": hour,
            "busiest_rate": _NUMBER,
            "quietest": hour,
            "quietest_rate": _NUMBER,
        }
    )
    bounds = {"type": "object", "additionalProperties": _NUMBER}
    capacity = _object(
        {
            "capacity_requests_per_second": bounds | {"description": "by bound"},
            "headroom_ratio": _nullable(_NUMBER),
            "lowest_headroom_ratio": _nullable(_NUMBER),
            "limit": _nullable(_TEXT),
            "forecast_requests_per_second": {"type": "object", "additionalProperties": bounds},
            "until_limit": _nullable(_object({"seconds": _NUMBER, "signal": _TEXT})),
            "goals": {"type": "object", "additionalProperties": _TEXT},
            "error_budget_left_ratio": bounds | {"description": "of thirty days, by objective"},
        }
    )
    return _object(
        {
            "service": _TEXT,
            "weeks": _list(_object(week), "the oldest first"),
            "change_ratio": _nullable(_NUMBER, "of the mean rate, on the week before"),
            "growth_per_week_ratio": _nullable(_NUMBER),
            "season": _nullable(season),
            "capacity": capacity,
            "notes": _list(_TEXT, "why a figure is missing"),
        }
    )


def _optimization() -> Schema:
    money, months = _nullable(_NUMBER, "money a month"), _nullable(_NUMBER, "until the work is paid for")
    words = ("id", "service", "title", "category", "priority", "state", "effort")
    advice = _object(
        dict.fromkeys(words, _TEXT)
        | {
            "steps": _list(_TEXT),
            "expected": _nullable(_TEXT),
            "brought": _nullable(_TEXT),
            "gain_ratio": _nullable(_NUMBER),
            "as_expected": _nullable(_FLAG),
            "reason": _nullable(_TEXT),
            "effort_hours": _NUMBER,
            "expected_saving_per_month": money,
            "measured_saving_per_month": money,
            "payback_months": months,
        }
    )
    return _object(
        {
            "known": _FLAG,
            "counts": {"type": "object", "additionalProperties": _COUNT},
            "moved": _list(advice),
            "open": _list(advice),
            "expected_saving_per_month": money,
            "measured_saving_per_month": money,
            "payback_months": months,
            "currency": _nullable(_TEXT),
        }
    )


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": dict(properties),
    }


def _list(items: Schema, about: str = "") -> Schema:
    return {"type": "array", "items": items, **({"description": about} if about else {})}


def _nullable(schema: Schema, about: str = "") -> Schema:
    return {"anyOf": [schema, {"type": "null"}], **({"description": about} if about else {})}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(report_schema(), indent=2) + "\n")
