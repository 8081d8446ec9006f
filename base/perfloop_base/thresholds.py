"""The one schema and reader of `prometheus/thresholds.yml`: signals, overrides, and the limits of the packs' alerts.

Exporter, rules, analyzer, boards and the stack command read the file through here, so that a file that one of them
accepts is accepted by all. Dataclasses and located.py, no pydantic: see there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, Field, parse_located, read_located, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Severity = Literal["warning", "critical"]
Direction = Literal["above", "below"]
Kind = Literal["red", "use"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
COMPONENTS = ("api", "database", "cache", "model", "vector", "cpu", "memory", "disk", "network")
CATEGORIES = ("degradation", "exhaustion", "errors", "capacity")
UNITS = ("seconds", "ratio", "bytes_per_second")
DEFAULT_HOLD = "1m"

_WARNING = Field(name="warning", kind="number", required=False, about="from here on a warning fires (Slack)")
_CRITICAL = Field(
    name="critical",
    kind="number",
    required=False,
    about="from here on a critical alert fires (e-mail and PagerDuty too)",
)
SIGNAL_FIELDS = (
    Field(name="signal", about="the signal's name, the same in every program"),
    Field(name="title", about="the signal's name for people"),
    Field(
        name="component", kind="choice", choices=COMPONENTS, about="the part of a service or machine that it measures"
    ),
    Field(
        name="kind", kind="choice", choices=get_args(Kind), about="red: what callers feel; use: how full a resource is"
    ),
    Field(name="unit", kind="choice", choices=UNITS, about="the unit of the values and of the limits"),
    Field(
        name="direction", kind="choice", choices=get_args(Direction), about="on which side of a limit values are bad"
    ),
    _WARNING,
    _CRITICAL,
    Field(name="goal", kind="number", required=False, about="where a good day lies; nothing alerts on it"),
    Field(
        name="for",
        kind="duration",
        required=False,
        default=DEFAULT_HOLD,
        about="how long a warning's condition must hold",
    ),
    Field(
        name="critical_for", kind="duration", required=False, about="the same for critical; without it as long as `for`"
    ),
    Field(name="owner", about="the team that the alert is routed to"),
    Field(name="alert", about="the alert's name"),
    Field(name="category", kind="choice", choices=CATEGORIES, about="the kind of alert"),
    Field(name="by", kind="labels", required=False, default=("service",), about="the labels of the recorded series"),
    Field(name="record", kind="metric", about="the recorded series that is compared with the limits"),
    Field(
        name="record_by_route",
        kind="metric",
        required=False,
        about="the same signal per route; only signals that have it take overrides with a route",
    ),
    Field(name="expr", about="the PromQL that is recorded"),
    Field(
        name="traffic",
        kind="metric",
        required=False,
        about="the recorded rate of the events that the signal is made of",
    ),
    Field(
        name="minimum_events",
        kind="number",
        required=False,
        default=0.0,
        about="below this many events in the last minute nothing fires",
    ),
)
OVERRIDE_FIELDS = (
    Field(name="signal", about="the signal whose limits differ"),
    Field(name="service", required=False, default="", about="the service for which they differ"),
    Field(name="route", required=False, default="", about="the route for which they differ"),
    _WARNING,
    _CRITICAL,
)
LIMIT_FIELDS = (
    Field(name="info", kind="number", required=False, about="from here on the alert fires for information"),
    _WARNING,
    _CRITICAL,
    Field(name="for", kind="duration", required=False, default=DEFAULT_HOLD, about="how long the condition must hold"),
    Field(name="owner", about="the team that the alert is routed to"),
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One number that is compared with limits; the fields are those of the file.

    Attributes:
        limits: the value of each severity that has one; at least one is there.
        holds: for each severity, how long its condition must hold, as Prometheus writes durations.
        record_by_route: the series per route; empty where the signal is not measured per route.
        traffic: the series of the signal's events per second; empty where no minimum of events is asked for.
        line: where the entry begins in the file.
    """

    name: str
    title: str
    component: str
    kind: Kind
    unit: str
    direction: Direction
    limits: Mapping[Severity, float]
    goal: float | None
    holds: Mapping[Severity, str]
    owner: str
    alert: str
    category: str
    by: tuple[str, ...]
    record: str
    record_by_route: str
    expr: str
    traffic: str
    minimum_events: float
    line: int


@dataclass(frozen=True, slots=True)
class Override:
    """Other limits for one service, one route, or one route of one service; an empty name stands for all.

    They replace the signal's: a severity that the override does not give is not judged there.
    """

    signal: str
    service: str
    route: str
    limits: Mapping[Severity, float]

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the series that are meant."""
        names = {"service": self.service, "http_route": self.route}
        return {name: value for name, value in names.items() if value}


@dataclass(frozen=True, slots=True)
class AlertLimit:
    """The numbers of one alert of a pack: by severity `info`, `warning` or `critical`."""

    alert: str
    limits: Mapping[str, float]
    hold: str
    owner: str
    line: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The whole file. `alerts` has the entries of `limits`, by the alert's name."""

    signals: tuple[Signal, ...]
    overrides: tuple[Override, ...]
    alerts: Mapping[str, AlertLimit]
    file: str

    def find_signal(self, name: str) -> Signal | None:
        """Return the signal of that name, or None."""
        return next((signal for signal in self.signals if signal.name == name), None)

    def overrides_of(self, name: str) -> tuple[Override, ...]:
        """Return the overrides of one signal, in the file's order."""
        return tuple(override for override in self.overrides if override.signal == name)


def read_thresholds(path: Path, shown_as: str | None = None) -> Thresholds:
    """Read and check the file; `shown_as` is its name in problems, by default its path from the current directory.

    Raises:
        ConfigError: with every problem of the file, one sentence each: `file:line: …`.
    """
    problems: list[str] = []
    return _check(read_located(path, problems, shown_as))


def parse_thresholds(text: str, shown_as: str) -> Thresholds:
    """Do the same with the text of a file.

    Raises:
        ConfigError: with every problem of the text.
    """
    return _check(parse_located(text, shown_as, []))


def _check(root: Entry) -> Thresholds:
    root.allow(("signals", "overrides", "limits"), "the file")
    if root.get("signals") is None:
        root.report("the list `signals` is missing.")
    signals = tuple(_read_signal(entry) for entry in root.mappings("signals"))
    overrides = tuple(_read_override(entry, signals) for entry in root.mappings("overrides"))
    _check_unique(root, signals, overrides)
    alerts = _read_limits(root)
    if root.problems:
        raise ConfigError(root.problems)
    return Thresholds(signals, overrides, alerts, root.file)


def _check_unique(root: Entry, signals: Iterable[Signal], overrides: Iterable[Override]) -> None:
    signals = list(signals)
    for field in ("name", "alert", "record"):
        for value, count in Counter(getattr(signal, field) for signal in signals).items():
            if value and count > 1:
                what = "signal" if field == "name" else field
                root.report(f"the {what} {value!r} is defined {count} times; every signal has its own.", "signals")
    for (name, service, route), count in Counter((one.signal, one.service, one.route) for one in overrides).items():
        if count > 1:
            where = " and ".join(filter(None, (service and f"service {service}", route and f"route {route}")))
            root.report(f"the override of {name} for {where} is defined {count} times.", "overrides")


def _read_signal(entry: Entry) -> Signal:
    what = entry.title("signal", "signal")
    values = entry.read(SIGNAL_FIELDS, what)
    limits = _limits(entry, values, what)
    _check_order(entry, what, values["direction"], limits)
    hold = values["for"]
    return Signal(
        name=values["signal"] or "",
        title=values["title"],
        component=values["component"],
        kind=values["kind"],
        unit=values["unit"],
        direction=values["direction"],
        limits=limits,
        goal=values["goal"],
        holds={"warning": hold, "critical": values["critical_for"] or hold},
        owner=values["owner"],
        alert=values["alert"] or "",
        category=values["category"],
        by=values["by"],
        record=values["record"] or "",
        record_by_route=values["record_by_route"] or "",
        expr=values["expr"],
        traffic=values["traffic"] or "",
        minimum_events=values["minimum_events"],
        line=entry.line,
    )


def _limits(entry: Entry, values: Mapping[str, Any], what: str) -> dict[Severity, float]:
    if not any(severity in entry for severity in SEVERITIES):
        entry.report(f"{what}: neither warning nor critical is given; at least one must be.")
    return {severity: values[severity] for severity in SEVERITIES if values[severity] is not None}


def _check_order(entry: Entry, what: str, direction: str, limits: Mapping[Severity, float]) -> None:
    """Report a critical limit that is reached before the warning's."""
    if len(limits) < len(SEVERITIES) or direction not in get_args(Direction):
        return
    warning, critical = limits["warning"], limits["critical"]
    if (critical < warning) if direction == "above" else (critical > warning):
        entry.report(
            f"{what}: critical {critical:g} is reached before warning {warning:g}; critical must lie {direction} it.",
            "critical",
        )


def _read_override(entry: Entry, signals: tuple[Signal, ...]) -> Override:
    what = entry.title("override of", "signal")
    values = entry.read(OVERRIDE_FIELDS, what)
    name, service, route = values["signal"], values["service"], values["route"]
    limits = _limits(entry, values, what)
    signal = next((one for one in signals if one.name == name), None)
    if name and signal is None:
        entry.report(f"{what}: unknown signal; {suggest(name, sorted(one.name for one in signals))}", "signal")
    if signal is not None:
        _check_order(entry, what, signal.direction, limits)
        if route and not signal.record_by_route:
            entry.report(f"{what}: the signal is not measured per route; override it per service.", "route")
    if not service and not route:
        entry.report(f"{what}: neither service nor route is given; without one it would change every service.")
    return Override(name, service, route, limits)


def _read_limits(root: Entry) -> dict[str, AlertLimit]:
    limits = root.get("limits")
    if limits is None:
        return {}
    if not isinstance(limits, Entry):
        root.report("limits must be a mapping of alert names to numbers.", "limits")
        return {}
    for name, entry in limits.items():
        if not isinstance(entry, Entry):
            limits.report(f"limit {name} must be a mapping such as {{warning: 1, for: 30s, owner: platform}}.", name)
    return {name: _read_limit(name, entry) for name, entry in limits.items() if isinstance(entry, Entry)}


def _read_limit(name: str, entry: Entry) -> AlertLimit:
    what = f"limit {name}"
    values = entry.read(LIMIT_FIELDS, what)
    severities = ("info", *SEVERITIES)
    if not any(severity in entry for severity in severities):
        entry.report(f"{what}: none of info, warning, critical is given; at least one must be.")
    limits = {severity: values[severity] for severity in severities if values[severity] is not None}
    return AlertLimit(name, limits, values["for"], values["owner"], entry.line)
