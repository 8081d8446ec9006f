"""The rule files of a configuration, those that users put beside ours included, checked without promtool.

Prometheus refuses its whole configuration for one broken rule file. Here each problem is one sentence with file and
line, found before anything is reloaded. Go templates in annotations are left to promtool.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.located import LABEL_PATTERN, METRIC_PATTERN, Entry, is_duration, read_located
from perfloop_base.promql import find_problem

if TYPE_CHECKING:
    from pathlib import Path

METRIC, LABEL = re.compile(METRIC_PATTERN), re.compile(LABEL_PATTERN)
DURATIONS = ("interval", "query_offset", "for", "keep_firing_for")
# As in Prometheus's documentation of rules. Groups have query_offset since 2.53 and labels since 3.0.
GROUP_FIELDS = ("name", "interval", "limit", "query_offset", "labels", "rules")
RECORDING_FIELDS = ("record", "expr", "labels")
ALERT_FIELDS = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations")


def check_rule_files(directory: Path) -> list[str]:
    """Return one sentence, `file:line: …`, for each problem of the files in `prometheus/rules` and `prometheus/alerts`.

    Args:
        directory: the configuration, which holds `prometheus/`.
    """
    problems: list[str] = []
    places: dict[str, str] = {}  # the file of each alert's name
    for name in ("rules", "alerts"):
        for path in sorted((directory / "prometheus" / name).glob("*.y*ml")):
            try:
                root = read_located(path, problems)
            except ConfigError as error:
                problems += error.problems
                continue
            _check_file(root)
            _check_names(root, places)
    return problems


def _check_file(root: Entry) -> None:
    root.allow(("groups",), "the file")
    names: set[str] = set()
    for group in root.mappings("groups"):
        name = group.get("name")
        what = f"group {name}"
        group.allow(GROUP_FIELDS, what)
        if not isinstance(name, str) or not name:
            group.report("a group has no name.", "name")
        elif name in names:
            group.report(f"{what}: another group of this file has the same name.", "name")
        names.add(str(name))
        _check_durations(group, what)
        _check_labels(group, "labels", what)
        for rule in group.mappings("rules"):
            _check_rule(rule)


def _check_rule(rule: Entry) -> None:
    if ("alert" in rule) == ("record" in rule):
        rule.report("a rule must have either alert or record.")
        return
    kind, fields = ("alert", ALERT_FIELDS) if "alert" in rule else ("record", RECORDING_FIELDS)
    name = rule[kind]
    what = f"{kind} {name}"
    rule.allow(fields, what)
    if not isinstance(name, str) or not name:
        rule.report(f"{kind} has the value {name!r}; it must be a name.", kind)
    elif kind == "record" and not METRIC.fullmatch(name):
        rule.report(f"record has the value {name!r}; it must be the name of a series.", kind)
    _check_expr(rule, what)
    _check_durations(rule, what)
    for key in ("labels", "annotations"):
        _check_labels(rule, key, what)


def _check_expr(rule: Entry, what: str) -> None:
    expr = rule.get("expr")
    if expr is None or not str(expr).strip():
        rule.report(f"{what} has no expr.")
    elif problem := find_problem(str(expr)).rstrip("."):
        rule.report(f"{what}: expr is not PromQL: {problem}.", "expr")


def _check_durations(entry: Entry, what: str) -> None:
    for key in DURATIONS:
        value = entry.get(key)
        if value is not None and not is_duration(str(value)):
            entry.report(f"{what}: {key} has the value {value!r}; it must be a duration such as 30s, 5m or 1h.", key)


def _check_labels(entry: Entry, key: str, what: str) -> None:
    labels = entry.get(key)
    if labels is None:
        return
    if not isinstance(labels, Entry):
        entry.report(f"{what}: {key} must be a mapping of names to texts.", key)
        return
    for name, value in labels.items():
        if not LABEL.fullmatch(name) or (key == "labels" and name == "__name__"):
            labels.report(f"{what}: {name!r} cannot be the name of a label or annotation.", name)
        if isinstance(value, Entry | list):
            labels.report(f"{what}: {name} has the value {value!r}; it must be a text.", name)


def _check_names(root: Entry, places: dict[str, str]) -> None:
    """Report an alert that two files define, and two of one file with the same labels."""
    seen: set[tuple[str, ...]] = set()
    for group in root.mappings("groups"):
        for rule in group.mappings("rules"):
            name = rule.get("alert")
            if not isinstance(name, str):
                continue
            file = places.setdefault(name, root.file)
            if file != root.file:
                rule.report(f"alert {name}: {file} defines an alert of the same name.", "alert")
            labels = rule.get("labels")
            key = (name, *sorted(map(str, labels.items()))) if isinstance(labels, Entry) else (name,)
            if key in seen:
                rule.report(f"alert {name}: this file defines another one with the same labels.", "alert")
            seen.add(key)
