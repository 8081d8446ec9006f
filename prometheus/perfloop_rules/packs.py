"""The packs: alerts for what surrounds a service. A pack holds expressions and words, thresholds.yml the numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, Field, read_located, show_path, suggest
from perfloop_base.thresholds import CATEGORIES, COMPONENTS
from perfloop_rules.alert_facts import AlertFacts
from perfloop_rules.explanations import explanation_templates
from perfloop_rules.severities import exclude_critical
from perfloop_rules.wording import VALUE_TEMPLATES, format_limit, runbook_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from perfloop_base.thresholds import AlertLimit, Thresholds

Rule = dict[str, Any]
LIMIT, SHOWN_VALUE = "$limit", "$VALUE"
COMPARISON = re.compile(r"([<>])=?\s*\$limit")
UNITS = ("seconds", "ratio", "bytes_per_second", "number")
_MORE_COMPONENTS = ("stack", "gpu", "pods", "scaling", "nodes", "mesh")
PACK_FIELDS = ("pack", "about", "dashboard", "recordings", "alerts")
RECORDING_FIELDS = (
    Field(name="record", kind="metric", about="the series that is recorded"),
    Field(name="expr", about="the PromQL that is recorded"),
)
SERVICE_PAGE = "/d/service?var-service={{ $labels.service | urlquery }}"
ALERT_FIELDS = (
    Field(name="alert", about="the alert's name, and that of its numbers under `limits` of thresholds.yml"),
    Field(name="summary", about="what is wrong, in a few words"),
    Field(name="description", about="a sentence; $VALUE and $LIMIT stand for the value and the limit with their unit"),
    Field(name="category", kind="choice", choices=(*CATEGORIES, "stack"), about="the kind of alert"),
    Field(name="component", kind="choice", choices=(*COMPONENTS, *_MORE_COMPONENTS), about="what it watches"),
    Field(name="unit", kind="choice", choices=UNITS, about="the unit of the value and of the limit"),
    Field(name="expr", about="the PromQL of the condition; $limit stands for the number"),
    Field(name="resolved", required=False, default="", about="what holds again when it is over, in a few words"),
    Field(name="signal", required=False, default="", about="the analyzer's signal whose cause and remedy it shares"),
    Field(name="dashboard", required=False, default="", about="the dashboard's address, if not the pack's"),
    Field(name="severity", required=False, default="", about="of an alert without a number"),
    Field(
        name="test", kind="mapping", required=False, about="how the alert is shown to fire, to be quiet and to resolve"
    ),
)
TEST_FIELDS = (
    Field(name="series", kind="mapping", about="what each input series does: see trials.py"),
    Field(name="hot", kind="number", required=False, about="a value of x that fires"),
    Field(name="calm", kind="number", required=False, about="a value of x that does not"),
    Field(name="minutes", kind="number", required=False, default=0.0, about="how long a phase lasts"),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """How an alert is tested: what its series do, the values of x that fire and that do not, and for how long.

    Without minutes a phase is long enough for every range of the expression; an alert that compares with its own past
    gives the minutes after which it must have fired.
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
    resolved: str
    signal: str
    fixed_severity: str
    trial: Trial
    file: str
    line: int

    @property
    def direction(self) -> str:
        """Whether more or less than the limit is bad."""
        found = COMPARISON.search(self.expr)
        return "below" if found and found[1] == "<" else "above"

    @property
    def has_figure(self) -> bool:
        """Whether the value says something to people, as that of a target that is down (0) does not."""
        return SHOWN_VALUE in self.description

    def with_limit(self, limit: float) -> str:
        """Return the expression with its number."""
        return self.expr.replace(LIMIT, f"{limit:.15g}")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule of a pack."""

    record: str
    expr: str
    line: int


@dataclass(frozen=True, slots=True)
class Pack:
    """One file of packs/."""

    name: str
    file: str
    recordings: tuple[Recording, ...]
    alerts: tuple[PackAlert, ...]


def read_packs(directory: Path, thresholds: Thresholds) -> tuple[Pack, ...]:
    """Read every pack of a directory and check it against the limits.

    Raises:
        ConfigError: with every problem of every pack.
    """
    problems: list[str] = []
    packs = tuple(pack for path in sorted(directory.glob("*.yml")) for pack in _read_pack(path, problems))
    if problems:  # what a broken pack does not define is not missing elsewhere
        raise ConfigError(problems)
    alerts = [alert for pack in packs for alert in pack.alerts]
    problems += [
        f"{alert.file}:{alert.line}: alert {alert.name} has no entry under `limits` of {thresholds.file}."
        for alert in alerts
        if not alert.fixed_severity and alert.name not in thresholds.alerts
    ]
    known = sorted(alert.name for alert in alerts)
    problems += [
        f"{thresholds.file}:{limit.line}: limit {name}: no pack has an alert of this name; {suggest(name, known)}"
        for name, limit in thresholds.alerts.items()
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
    return packs


def _read_pack(path: Path, problems: list[str]) -> list[Pack]:
    """Return the pack of a file, none where it cannot be read."""
    file = show_path(path)
    try:
        root = read_located(path, problems, file)
    except ConfigError as error:
        problems += error.problems
        return []
    root.allow(PACK_FIELDS, "the pack")
    if root.get("pack") != path.stem:
        root.report(f"pack has the value {root.get('pack')!r}; it must be the file's own name, {path.stem}.", "pack")
    recordings = []
    for entry in root.mappings("recordings"):
        values = entry.read(RECORDING_FIELDS, entry.title("recording", "record"))
        recordings.append(Recording(str(values["record"]), str(values["expr"]), entry.line))
    dashboard = str(root.get("dashboard") or SERVICE_PAGE)
    alerts = tuple(_read_alert(entry, file, dashboard) for entry in root.mappings("alerts"))
    return [Pack(path.stem, file, tuple(recordings), alerts)]


def _read_alert(entry: Entry, file: str, dashboard: str) -> PackAlert:
    what = entry.title("alert", "alert")
    values = entry.read(ALERT_FIELDS, what)
    expr, fixed = str(values["expr"]), values["severity"]
    if not fixed and not COMPARISON.search(expr):
        entry.report(f"{what}: expr does not compare with {LIMIT}; the number belongs into thresholds.yml.", "expr")
    return PackAlert(
        name=str(values["alert"]),
        summary=values["summary"],
        description=str(values["description"]),
        category=values["category"],
        component=values["component"],
        unit=values["unit"],
        expr=expr,
        dashboard=values["dashboard"] or dashboard,
        resolved=values["resolved"],
        signal=values["signal"],
        fixed_severity=fixed,
        trial=_read_trial(entry, what),
        file=file,
        line=entry.line,
    )


def _read_trial(entry: Entry, what: str) -> Trial:
    test = entry.get("test")
    if not isinstance(test, Entry) or not isinstance(test.get("series"), Entry):
        entry.report(f"{what}: test.series is missing; every alert is shown to fire, to be quiet and to resolve.")
        return Trial({}, None, None, 0)
    values = test.read(TEST_FIELDS, f"{what}: test")
    series = {name: str(value) for name, value in values["series"].items()}
    return Trial(series, values["hot"], values["calm"], int(values["minutes"]))


def recording_groups(packs: Iterable[Pack]) -> list[Rule]:
    """Return a group of recording rules for each pack that has any."""
    return [
        {"name": pack.name, "rules": [{"record": one.record, "expr": one.expr} for one in pack.recordings]}
        for pack in packs
        if pack.recordings
    ]


def alert_group(pack: Pack, limits: Mapping[str, AlertLimit]) -> Rule:
    """Return a pack's alerts, one rule for each severity that has a number."""
    rules: list[Rule] = []
    for alert in pack.alerts:
        if alert.fixed_severity:
            rules.append(_rule(alert, alert.fixed_severity, 0.0, "0s", "platform"))
            continue
        rules += _rules(alert, limits[alert.name])
    return {"name": pack.name, "rules": rules}


def _rules(alert: PackAlert, limit: AlertLimit) -> list[Rule]:
    """Return a rule for each number, the critical one first."""
    return exclude_critical(
        [_rule(alert, severity, value, limit.hold, limit.owner) for severity, value in sorted(limit.limits.items())]
    )


def alert_facts(packs: Iterable[Pack], limits: Mapping[str, AlertLimit]) -> list[AlertFacts]:
    """Return what boards show of every alert of the packs."""
    return [
        AlertFacts(
            alert=alert.name,
            summary=alert.summary,
            dashboard=alert.dashboard,
            signal=alert.signal,
            unit=alert.unit if alert.has_figure else "",
            value=_value(alert, limits),
        )
        for pack in packs
        for alert in pack.alerts
    ]


def _value(alert: PackAlert, limits: Mapping[str, AlertLimit]) -> str:
    """Return the condition with the looser of its limits: its result is the value for as long as it is true."""
    if not alert.has_figure or alert.fixed_severity:
        return ""
    loosest = min if alert.direction == "above" else max
    return alert.with_limit(loosest(limits[alert.name].limits.values()))


def _rule(alert: PackAlert, severity: str, limit: float, hold: str, owner: str) -> Rule:
    words, value = format_limit(limit, alert.unit), VALUE_TEMPLATES[alert.unit]
    bound = "limit" if alert.direction == "above" else "minimum"
    annotations = {
        "summary": f"{alert.summary}: {value} ({bound} {words})" if alert.has_figure else alert.summary,
        **({"resolved": alert.resolved} if alert.resolved else {}),
        "description": alert.description.replace(SHOWN_VALUE, value).replace("$LIMIT", words).strip(),
    }
    if alert.has_figure:
        annotations |= {"value": value, "threshold": words}
    if not alert.fixed_severity:
        annotations |= explanation_templates(alert.name, severity, alert.signal)
    return {
        "alert": alert.name,
        "expr": alert.with_limit(limit),
        **({"for": hold, "keep_firing_for": "20s"} if not alert.fixed_severity else {}),
        "labels": {"severity": severity, "category": alert.category, "component": alert.component, "owner": owner},
        "annotations": annotations | {"dashboard": alert.dashboard, "runbook_url": runbook_url(alert.name)},
    }
