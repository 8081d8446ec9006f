"""Reads the catalogue: the shipped files, the user's, and the limits that thresholds.yml and slos.yml give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perfloop_analyzer.catalog.overrides import replace_limits, split_routes
from perfloop_analyzer.catalog.signals import CatalogFile, Limit, Parts, Signal
from perfloop_analyzer.documents import read_document
from perfloop_base.errors import ConfigError
from perfloop_base.promql import find_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_base.slos import Slo
    from perfloop_base.thresholds import Signal as Entry
    from perfloop_base.thresholds import Thresholds

HERE = Path(__file__).parent
ROUTE = "http_route"


class Limits(NamedTuple):
    """The files that limits come from, as perfloop_base reads them."""

    thresholds: Thresholds | None = None
    slos: Sequence[Slo] = ()


def load_catalog(files: Iterable[Path] = (), limits: Limits | None = None) -> tuple[Signal, ...]:
    """Return the shipped catalogue and the user's; a later entry of the same name replaces an earlier one.

    Raises:
        ConfigError: With every problem of every file.
    """
    limits = limits or Limits()
    table = _read(files)
    slos = {slo.name: slo for slo in limits.slos}
    thresholds = limits.thresholds
    if thresholds is None:
        return tuple(_with_slo(signal, slos) for signal in table.values())
    covered = {signal.threshold or signal.name for signal in table.values()}
    for entry in thresholds.signals:
        if entry.name not in covered:
            table[entry.name] = _from_threshold(entry, has_overrides=bool(thresholds.overrides_of(entry.name)))
    catalog: list[Signal] = []
    for signal in table.values():
        usual, *routes = _with_limits(signal, thresholds)
        catalog += (_with_slo(usual, slos), *routes)
    return tuple(catalog)


def _read(files: Iterable[Path]) -> dict[str, Signal]:
    table: dict[str, Signal] = {}
    problems: list[str] = []
    for path in (*sorted(HERE.glob("*.yml")), *files):
        try:
            signals = read_document(CatalogFile, path).signals
        except ConfigError as error:
            problems += error.problems
            continue
        for signal in signals:
            table[signal.name] = signal
            exprs = {"expr": signal.expr} | ({"parts.expr": signal.parts.expr} if signal.parts else {})
            for field, expr in exprs.items():
                if problem := find_problem(expr):
                    problems.append(f"{path}: signal {signal.name}: {field} is not PromQL: {problem}")
    if problems:
        raise ConfigError(problems)
    return table


def _with_slo(signal: Signal, slos: Mapping[str, Slo]) -> Signal:
    """Take the error budget of the signal's objective as the goal of a burn rate, else its limit as the warning."""
    slo = slos.get(signal.slo or "")
    if slo is None:
        return signal
    change: dict[str, float] = {}
    if "burn" in signal.detect:
        change["goal"] = slo.budget
    elif slo.within is not None:
        change["warning"] = slo.within
    return signal.model_copy(update={"limit": signal.limit.model_copy(update=change)})


def _with_limits(signal: Signal, thresholds: Thresholds) -> list[Signal]:
    if alert := thresholds.alerts.get(signal.alert or ""):
        # An alert's numbers add to the catalogue's: a severity that no alert has is the analyzer's alone.
        given = {name: value for name, value in alert.limits.items() if name in ("warning", "critical")}
        return [signal.model_copy(update={"limit": signal.limit.model_copy(update=given)})]
    entry = thresholds.find_signal(signal.threshold or signal.name)
    if entry is None:
        return [signal]
    limit = replace_limits(signal.limit, entry.limits).model_copy(update={"goal": entry.goal})
    title = entry.title if entry.name == signal.name else signal.title
    taken = signal.model_copy(
        update={"limit": limit, "direction": entry.direction, "title": title, "runbook": entry.alert}
    )
    return split_routes(taken, thresholds.overrides_of(entry.name))


def _from_threshold(entry: Entry, *, has_overrides: bool) -> Signal:
    """Return a signal for an entry of thresholds.yml that no catalogue has."""
    return Signal(
        name=entry.name,
        title=entry.title,
        # The recorded series has no route label, which overrides of routes need.
        expr=entry.expr if has_overrides else entry.record,
        component=entry.component,
        kind=entry.kind,
        unit=entry.unit,
        direction=entry.direction,
        runbook=entry.alert,
        limit=replace_limits(Limit(goal=entry.goal), entry.limits),
        parts=Parts(by=(ROUTE,), expr=entry.record_by_route) if entry.record_by_route else None,
    )
