"""`thresholds.yml` as values: the signals, the overrides, the limits of the packs. Everything wrong is told at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from perfloop_rules.errors import RulebookError
from perfloop_rules.located import Entry, entries, read_located

if TYPE_CHECKING:
    from pathlib import Path

SHOWN_AS = "prometheus/thresholds.yml"
Severity = Literal["warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
COMPONENTS = ("api", "database", "cache", "model", "vector", "cpu", "memory", "disk", "network")
CATEGORIES = ("degradation", "exhaustion", "errors", "capacity")
UNITS = ("seconds", "ratio", "bytes_per_second")
SIGNAL_FIELDS = (
    *("signal", "title", "component", "kind", "unit", "direction", "warning", "critical", "goal", "for"),
    *("critical_for", "owner", "alert", "category", "by", "record", "record_by_route", "expr", "traffic"),
    "minimum_events",
)
OVERRIDE_FIELDS = ("signal", "service", "route", *SEVERITIES)


@dataclass(frozen=True, slots=True)
class Signal:
    """One number that is compared with limits."""

    name: str
    title: str
    component: str
    kind: str
    unit: str
    direction: str
    limits: dict[Severity, float]
    holds: dict[Severity, str]
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
    """Other limits for one service, one route, or one route of one service."""

    signal: str
    service: str
    route: str
    limits: dict[Severity, float]


@dataclass(frozen=True, slots=True)
class Limit:
    """The numbers of one alert of a pack."""

    alert: str
    limits: dict[str, float]
    hold: str
    owner: str
    line: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The whole file."""

    signals: tuple[Signal, ...]
    overrides: tuple[Override, ...]
    limits: dict[str, Limit]


def read_thresholds(path: Path) -> Thresholds:
    """Read and check the file; raise RulebookError with every problem in it."""
    problems: list[str] = []
    root = read_located(path, SHOWN_AS, problems)
    root.only(("signals", "overrides", "limits"), "thresholds")
    signals = tuple(_signal(entry) for entry in entries(root, "signals"))
    _complain_of_twins(root, [signal.name for signal in signals])
    by_name = {signal.name: signal for signal in signals}
    overrides = tuple(_override(entry, by_name) for entry in entries(root, "overrides"))
    limits = root.get("limits") or {}
    packs = {name: _limit(name, entry) for name, entry in limits.items() if isinstance(entry, Entry)}
    problems += [
        f"{SHOWN_AS}:{root.lines['limits']}: limits: {name} must be a mapping." for name in limits if name not in packs
    ]
    if problems:
        raise RulebookError(problems)
    return Thresholds(signals, overrides, packs)


def _complain_of_twins(root: Entry, names: list[str]) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        root.complain(f"the signal {name!r} stands here twice; every signal has one entry.", "signals")


def _limits(entry: Entry, what: str) -> dict[Severity, float]:
    found: dict[Severity, float] = {}
    for severity in SEVERITIES:
        value = entry.number(severity, what)
        if value is not None:
            found[severity] = value
    if not any(severity in entry for severity in SEVERITIES):
        entry.complain(f"{what}: neither warning nor critical is given; at least one must be.")
    return found


def _signal(entry: Entry) -> Signal:
    name = entry.text("signal", "a signal")
    what = f"signal {name}"
    entry.only(SIGNAL_FIELDS, what)
    limits = _limits(entry, what)
    direction = entry.choice("direction", what, ("above", "below"))
    _check_order(entry, what, direction, limits)
    entry.number("goal", what)
    hold = entry.duration("for", what, "1m")
    return Signal(
        name=name,
        title=entry.text("title", what),
        component=entry.choice("component", what, COMPONENTS),
        kind=entry.choice("kind", what, ("red", "use")),
        unit=entry.choice("unit", what, UNITS),
        direction=direction,
        limits=limits,
        holds={"warning": hold, "critical": entry.duration("critical_for", what, hold)},
        owner=entry.text("owner", what),
        alert=entry.text("alert", what),
        category=entry.choice("category", what, CATEGORIES),
        by=tuple(entry.get("by") or ("service",)),
        record=entry.text("record", what),
        record_by_route=entry.text("record_by_route", what, "-").strip("-"),
        expr=entry.text("expr", what),
        traffic=entry.text("traffic", what, "-").strip("-"),
        minimum_events=entry.number("minimum_events", what) or 0.0,
        line=entry.line,
    )


def _check_order(entry: Entry, what: str, direction: str, limits: dict[Severity, float]) -> None:
    if len(limits) < len(SEVERITIES):
        return
    warning, critical = limits["warning"], limits["critical"]
    if (critical < warning) if direction == "above" else (critical > warning):
        entry.complain(
            f"{what}: critical {critical:g} is reached before warning {warning:g}; critical must lie {direction} it.",
            "critical",
        )


def _override(entry: Entry, signals: dict[str, Signal]) -> Override:
    name = entry.text("signal", "an override")
    what = f"override of {name}"
    entry.only(OVERRIDE_FIELDS, what)
    service, route = str(entry.get("service") or ""), str(entry.get("route") or "")
    signal = signals.get(name)
    if signal is None:
        entry.complain(f"{what}: no such signal; the signals are {', '.join(sorted(signals))}.", "signal")
    elif route and not signal.record_by_route:
        entry.complain(f"{what}: the signal is not measured per route; override it per service.", "route")
    if not service and not route:
        entry.complain(f"{what}: neither service nor route is given; without one it would change every service.")
    return Override(name, service, route, _limits(entry, what))


def _limit(name: str, entry: Entry) -> Limit:
    what = f"limit {name}"
    entry.only((*SEVERITIES, "info", "for", "owner"), what)
    found = {severity: entry.number(severity, what) for severity in ("info", *SEVERITIES) if severity in entry}
    if not found:
        entry.complain(f"{what}: none of info, warning, critical is given; at least one must be.")
    limits = {severity: value for severity, value in found.items() if value is not None}
    return Limit(name, limits, entry.duration("for", what, "1m"), entry.text("owner", what), entry.line)
