"""The limits of `thresholds.yml` as the exporter tells them: names and numbers.

What the file's other fields hold is for the rules that are generated from it, and checked there. But a field that
nobody knows is refused here too: a limit under a misspelt name would silently not be told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from perfloop_exporter.errors import CollectorError

SEVERITIES = ("warning", "critical", "goal")
FIELDS = {
    "the file": frozenset({"signals", "overrides", "limits"}),
    "signals": frozenset(
        (
            *("signal", "title", "component", "kind", "unit", "direction", *SEVERITIES, "for", "critical_for"),
            *("owner", "alert", "category", "by", "record", "record_by_route", "expr", "traffic", "minimum_events"),
        )
    ),
    "overrides": frozenset({"signal", "service", "route", "warning", "critical"}),
}


class Threshold(NamedTuple):
    """One limit; service and route are empty where it holds for all."""

    signal: str
    severity: str
    value: float
    service: str = ""
    route: str = ""


def parse_thresholds(text: str, where: str) -> list[Threshold]:
    """Every limit in the file, overrides after the signals; everything wrong is told at once."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CollectorError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not isinstance(document.get("signals"), list):
        raise CollectorError(f"{where} has no list `signals`")
    problems = _strangers(document, "the file", "the file")
    found = [limit for entry in document["signals"] for limit in _limits(entry, "signals", problems)]
    known = {limit.signal for limit in found}
    for entry in document.get("overrides") or []:
        for limit in _limits(entry, "overrides", problems):
            if limit.signal not in known:
                problems.append(f"overrides: '{limit.signal}' is no signal of this file")
            found.append(limit)
    if problems:
        raise CollectorError(f"{where}: {'; '.join(problems)}")
    return found


def _limits(entry: Any, kind: str, problems: list[str]) -> list[Threshold]:
    if not isinstance(entry, dict) or not isinstance(entry.get("signal"), str):
        problems.append(f"{kind}: {entry!r} has no `signal`"[:200])
        return []
    problems += _strangers(entry, kind, f"{kind}: {entry['signal']}")
    limits = []
    for severity in SEVERITIES:
        value = entry.get(severity)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            problems.append(f"{kind}: {entry['signal']}: {severity} is {value!r}, not a number")
            continue
        place = {name: str(entry[name]) for name in ("service", "route") if name in entry and kind == "overrides"}
        limits.append(Threshold(entry["signal"], severity, value, **place))
    return limits


def _strangers(entry: dict[Any, Any], kind: str, what: str) -> list[str]:
    return [f"{what}: '{name}' is no field" for name in entry if name not in FIELDS[kind]]
