"""The packs: alerts for the parts around a service. A pack holds questions and words, thresholds.yml the numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_rules.errors import RulebookError
from perfloop_rules.located import Entry, entries, read_located
from perfloop_rules.severities import tell_once
from perfloop_rules.thresholds import CATEGORIES, COMPONENTS, Limit
from perfloop_rules.wording import CAUSE, VALUE_TEMPLATES, ask_recommendation, runbook_url, say_limit

if TYPE_CHECKING:
    from pathlib import Path

Rule = dict[str, Any]
LIMIT = "$limit"
COMPARISON = re.compile(r"([<>])=?\s*\$limit")
PACK_FIELDS = ("pack", "about", "recordings", "alerts")
ALERT_FIELDS = (
    "alert",
    "summary",
    "description",
    "category",
    "component",
    "unit",
    "expr",
    "dashboard",
    "test",
    "severity",
)
TEST_FIELDS = ("series", "hot", "calm", "minutes")
UNITS = ("seconds", "ratio", "bytes_per_second", "number")
SERVICE_PAGE = "/d/service?var-service={{ $labels.service | urlquery }}"


@dataclass(frozen=True, slots=True)
class Trial:
    """How an alert is tested: what its series do, the values of x that fire and that do not, and for how long.

    Without minutes a phase is long enough for every range of the expression; an alert that compares with its own past
    says how soon it must have fired.
    """

    series: dict[str, str]
    hot: float | None
    calm: float | None
    minutes: int


@dataclass(frozen=True, slots=True)
class PackAlert:
    """One alert of a pack, before its numbers."""

    name: str
    summary: str
    description: str
    category: str
    component: str
    unit: str
    expr: str
    dashboard: str
    fixed_severity: str
    trial: Trial
    file: str
    line: int

    @property
    def direction(self) -> str:
        """Whether more or less than the limit is bad."""
        found = COMPARISON.search(self.expr)
        return "below" if found and found[1] == "<" else "above"


@dataclass(frozen=True, slots=True)
class Pack:
    """One file of packs/."""

    name: str
    recordings: tuple[Rule, ...]
    alerts: tuple[PackAlert, ...]


def read_packs(folder: Path, limits: dict[str, Limit]) -> tuple[Pack, ...]:
    """Read every pack and hold it against the limits; raise RulebookError with every problem."""
    problems: list[str] = []
    packs = tuple(_pack(path, problems) for path in sorted(folder.glob("*.yml")))
    alerts = [alert for pack in packs for alert in pack.alerts]
    problems += [
        f"{alert.file}:{alert.line}: {alert.name} has no entry under `limits` of prometheus/thresholds.yml."
        for alert in alerts
        if not alert.fixed_severity and alert.name not in limits
    ]
    known = {alert.name for alert in alerts}
    problems += [
        f"prometheus/thresholds.yml:{limit.line}: limit {name}: no pack has an alert of this name."
        for name, limit in limits.items()
        if name not in known
    ]
    if problems:
        raise RulebookError(problems)
    return packs


def _pack(path: Path, problems: list[str]) -> Pack:
    shown_as = f"prometheus/packs/{path.name}"
    root = read_located(path, shown_as, problems)
    root.only(PACK_FIELDS, "pack")
    recordings = []
    for entry in entries(root, "recordings"):
        entry.only(("record", "expr"), "a recording")
        recordings.append({"record": entry.text("record", "a recording"), "expr": entry.text("expr", "a recording")})
    alerts = tuple(_alert(entry, shown_as) for entry in entries(root, "alerts"))
    return Pack(root.text("pack", "pack"), tuple(recordings), alerts)


def _alert(entry: Entry, file: str) -> PackAlert:
    name = entry.text("alert", "an alert")
    what = f"alert {name}"
    entry.only(ALERT_FIELDS, what)
    expr, fixed = entry.text("expr", what), str(entry.get("severity") or "")
    if not fixed and not COMPARISON.search(expr):
        entry.complain(f"{what}: expr compares nothing with {LIMIT}; the number belongs into thresholds.yml.", "expr")
    return PackAlert(
        name=name,
        summary=entry.text("summary", what),
        description=entry.text("description", what),
        category=entry.choice("category", what, (*CATEGORIES, "stack")),
        component=entry.choice("component", what, (*COMPONENTS, "stack", "gpu")),
        unit=entry.choice("unit", what, UNITS),
        expr=expr,
        dashboard=entry.text("dashboard", what, SERVICE_PAGE),
        fixed_severity=fixed,
        trial=_trial(entry, what),
        file=file,
        line=entry.line,
    )


def _trial(entry: Entry, what: str) -> Trial:
    test = entry.get("test")
    if not isinstance(test, Entry) or not isinstance(test.get("series"), dict):
        entry.complain(f"{what}: test.series is missing; every alert is proven to fire, to stay quiet and to resolve.")
        return Trial({}, None, None, 0)
    test.only(TEST_FIELDS, f"{what}: test")
    series = {str(name): str(value) for name, value in test["series"].items()}
    return Trial(series, test.number("hot", what), test.number("calm", what), int(test.number("minutes", what) or 0))


def recording_groups(packs: tuple[Pack, ...]) -> list[Rule]:
    """Return a group of recording rules for each pack that has any."""
    return [{"name": pack.name, "rules": list(pack.recordings)} for pack in packs if pack.recordings]


def alert_group(pack: Pack, limits: dict[str, Limit]) -> Rule:
    """Return a pack's alerts, one rule for each severity that has a number."""
    rules: list[Rule] = []
    for alert in pack.alerts:
        if alert.fixed_severity:
            rules.append(_rule(alert, alert.fixed_severity, 0.0, "0s", "platform"))
            continue
        rules += _rules(alert, limits[alert.name])
    return {"name": pack.name, "rules": rules}


def _rules(alert: PackAlert, limit: Limit) -> list[Rule]:
    """Return a rule for each number, the critical one first."""
    return tell_once(
        [_rule(alert, severity, value, limit.hold, limit.owner) for severity, value in sorted(limit.limits.items())]
    )


def _rule(alert: PackAlert, severity: str, limit: float, hold: str, owner: str) -> Rule:
    words, value = _words(alert.unit, limit), VALUE_TEMPLATES.get(alert.unit, "{{ $value | humanize }}")
    annotations = {
        "summary": alert.summary,
        "description": alert.description.replace("$VALUE", value).replace("$LIMIT", words).strip(),
    }
    if not alert.fixed_severity:
        annotations |= {
            "value": value,
            "threshold": words,
            "cause": CAUSE,
            "recommendation": ask_recommendation(alert.component),
        }
    return {
        "alert": alert.name,
        "expr": alert.expr.replace(LIMIT, f"{limit:.15g}"),
        **({"for": hold, "keep_firing_for": "20s"} if not alert.fixed_severity else {}),
        "labels": {"severity": severity, "category": alert.category, "component": alert.component, "owner": owner},
        "annotations": annotations | {"dashboard": alert.dashboard, "runbook_url": runbook_url(alert.name)},
    }


def _words(unit: str, limit: float) -> str:
    return f"{limit:g}" if unit == "number" else say_limit(limit, unit)
