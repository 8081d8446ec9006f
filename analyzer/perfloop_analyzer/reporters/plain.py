"""The result as plain dictionaries: what the JSON API, `once --json` and the report share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfloop_analyzer.ports import Result


def result_dict(result: Result) -> dict[str, Any]:
    """Return everything that a cycle found."""
    return {
        "at": result.at,
        "health": [one.as_dict() for one in result.health],
        "incidents": [incident.as_dict() for incident in result.incidents],
        "findings": [finding.as_dict() for finding in result.findings],
        "recommendations": [made.as_dict() for made in result.recommendations],
        "failures": dict(result.failures),
        "series": result.series,
    }
