"""What each component really uses, compared with the files: one sentence for each difference, with both values.

Pure: what a component answered goes in as text or JSON.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from perfloop_base.durations import parse_duration
from perfloop_base.promql import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perfloop_base.thresholds import Thresholds

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")
_LONGEST = 80


def _expected_limits(thresholds: Thresholds) -> dict[tuple[str, str], float]:
    return {
        (signal.name, severity): limit for signal in thresholds.signals for severity, limit in signal.limits.items()
    }


def _compare_limits(
    used: Mapping[tuple[str, str], float | None], thresholds: Thresholds, component: str
) -> Iterator[str]:
    for (signal, severity), limit in _expected_limits(thresholds).items():
        value = used.get((signal, severity))
        if value != limit:
            uses = "has no such limit" if value is None else f"uses {value:g}"
            yield f"{signal} ({severity}): {component} {uses}, {thresholds.file} says {limit:g}"


def compare_exporter(metrics: str, thresholds: Thresholds) -> list[str]:
    """Compare the exporter's `perfloop_threshold` series with the file."""
    used = {
        (sample.labels["signal"], sample.labels["severity"]): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "perfloop_threshold"
    }
    return list(_compare_limits(used, thresholds, "the exporter"))


def compare_analyzer(answer: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """Compare the limits that the analyzer judges by with the file."""
    used = {
        (name, severity): limits.get(severity)
        for name, limits in answer["signals"].items()
        for severity in ("warning", "critical")
    }
    return list(_compare_limits(used, thresholds, "the analyzer"))


Groups = dict[str, list["Mapping[str, Any]"]]


def _loaded_groups(groups: Iterable[Mapping[str, Any]]) -> dict[str, Groups]:
    """Return the rules of each group that Prometheus has loaded, by `alerts/FILE` as in the configuration."""
    found: dict[str, Groups] = {}
    for group in groups:
        name = "/".join(PurePath(group["file"]).parts[-2:])
        found.setdefault(name, {})[group["name"]] = group["rules"]
    return found


def compare_rules(groups: Iterable[Mapping[str, Any]], files: Mapping[str, str]) -> list[str]:
    """Compare the rules that Prometheus has loaded with the rule files.

    Args:
        groups: the groups of `/api/v1/rules`.
        files: the text of each rule file by its path below `prometheus/`.
    """
    loaded = _loaded_groups(groups)
    problems: list[str] = []
    for name, text in sorted(files.items()):
        expected = {group["name"]: group["rules"] for group in (yaml.safe_load(text) or {}).get("groups") or []}
        if expected and name not in loaded:
            problems.append(f"prometheus/{name} is not loaded: Prometheus has none of its rules")
        elif expected:
            problems += [f"prometheus/{name}: {sentence}" for sentence in _compare_file(loaded[name], expected)]
    gone = sorted(set(loaded) - set(files))
    return [*problems, *(f"prometheus/{name} is gone, but Prometheus still has its rules" for name in gone)]


def _compare_file(loaded: Groups, expected: Groups) -> Iterator[str]:
    for name in sorted({*loaded, *expected}):
        yield from _compare_group(name, loaded.get(name) or [], expected.get(name) or [])


def _compare_group(group: str, loaded: list[Mapping[str, Any]], expected: list[Mapping[str, Any]]) -> Iterator[str]:
    if len(loaded) != len(expected):
        yield f"group {group}: Prometheus has {len(loaded)} rules, the file has {len(expected)}"
        return
    for rule, wanted in zip(loaded, expected, strict=True):
        name = wanted.get("alert") or wanted["record"]
        if rule["name"] != name:
            yield f"group {group}: Prometheus has {rule['name']} where the file has {name}"
        elif difference := _find_difference(rule, wanted):
            yield f"{name}: Prometheus uses {difference[0]}, the file says {difference[1]}"


def _find_difference(loaded: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what Prometheus uses and what the file says, where the two differ."""
    uses, says = _normalize(loaded["query"]), _normalize(str(wanted["expr"]))
    if uses != says:
        return _first_difference(uses, says)
    hold = parse_duration(str(wanted.get("for") or "0s"))
    if "alert" in wanted and loaded.get("duration", 0) != hold:
        return f"for {loaded.get('duration', 0):g} s", f"for {hold:g} s"
    for part in ("labels", "annotations"):
        uses_part, says_part = loaded.get(part) or {}, wanted.get(part) or {}
        for key in sorted({*uses_part, *says_part}):
            if uses_part.get(key) != says_part.get(key):
                return _first_difference(str(uses_part.get(key)), str(says_part.get(key)))
    return None


def _normalize(query: str) -> str:
    """Return an expression in one form, however it was indented and its durations were written."""
    return str(parse(query).prettify())


def _first_difference(uses: str, says: str) -> tuple[str, str]:
    """Return the first number in which two texts differ, or both texts, shortened, where it is no number."""
    used, said = _NUMBER.findall(uses), _NUMBER.findall(says)
    if len(used) == len(said):
        for one, other in zip(used, said, strict=True):
            if one != other:
                return one, other
    return _shorten(uses), _shorten(says)


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…")


def _panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for panel in dashboard.get("panels") or []:
        yield panel
        yield from _panels(panel)  # the panels of a row that is folded


def _steps(panel: Mapping[str, Any]) -> list[float]:
    """Return every number at which a panel changes its colour, in order."""
    options = panel.get("fieldConfig") or {}
    found = [(options.get("defaults") or {}).get("thresholds") or {}]
    for override in options.get("overrides") or []:
        found += [entry["value"] for entry in override["properties"] if entry["id"] == "thresholds"]
    return [step["value"] for limits in found for step in limits.get("steps") or [] if step.get("value") is not None]


def compare_dashboard(used: Mapping[str, Any], generated: Mapping[str, Any], reader: str) -> list[str]:
    """Compare the limits of a dashboard's panels with those that it would be generated with now.

    Args:
        used: the dashboard that is shown.
        generated: the dashboard that the thresholds give now.
        reader: who shows it, as the subject of the sentence.
    """
    title = generated["title"]
    shown = {panel["title"]: _steps(panel) for panel in _panels(used) if panel.get("title")}
    problems = []
    for panel in _panels(generated):
        name = panel.get("title")
        if name and shown.get(name) != _steps(panel):
            uses = " ".join(f"{step:g}" for step in shown.get(name) or []) or "no limit"
            says = " ".join(f"{step:g}" for step in _steps(panel)) or "no limit"
            problems.append(f"{title} / {name}: {reader} uses {uses}, the thresholds give {says}")
    return problems


def hash_alertmanager_config(text: str) -> float:
    """Return Alertmanager's own hash of its configuration file: `alertmanager_config_hash`.

    The first 48 bits of the MD5 as a number, so that a float can hold it (Alertmanager's config/coordinator.go).
    """
    return float(int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "little"))
