"""Reads the catalogue: the shipped files, the user's, and the limits that thresholds.yml gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from perfloop_analyzer.catalog.limits import Threshold, Thresholds
from perfloop_analyzer.catalog.overrides import with_overrides
from perfloop_analyzer.catalog.signals import Signal
from perfloop_analyzer.config import parse_model, read_yaml
from perfloop_analyzer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    signals: list[Signal]


def load_catalog(files: Iterable[Path] = (), thresholds: Thresholds | None = None) -> tuple[Signal, ...]:
    """Read the shipped catalogue and the user's files; a later entry of the same name replaces an earlier one."""
    limits = thresholds or Thresholds()
    table: dict[str, Signal] = {}
    problems: list[str] = []
    for path in (*sorted(HERE.glob("*.yml")), *files):
        try:
            for signal in parse_model(_File, read_yaml(path), str(path)).signals:
                table[signal.name] = signal
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    covered = {signal.threshold or signal.name for signal in table.values()}
    for entry in limits.signals.values():
        if entry.signal not in covered and (entry.expr or entry.record):
            table[entry.signal] = _from_threshold(entry)
    return tuple(one for signal in table.values() for one in _with_limits(signal, limits))


def _with_limits(signal: Signal, thresholds: Thresholds) -> list[Signal]:
    if alert := thresholds.alerts.get(signal.alert or ""):
        return [signal.model_copy(update={"limit": alert.limit(signal.limit)})]
    entry = thresholds.signals.get(signal.threshold or signal.name)
    if entry is None:
        return [signal]
    numbers = entry.limit().model_copy(update={"capacity": signal.limit.capacity})
    return with_overrides(signal.model_copy(update={"limit": numbers, "direction": entry.direction}), entry.overrides)


def _from_threshold(entry: Threshold) -> Signal:
    return Signal(
        name=entry.signal,
        title=entry.title,
        expr=entry.expr if entry.overrides else entry.record or entry.expr,
        component=entry.component or "service",
        kind=entry.kind,
        unit=entry.unit,
        direction=entry.direction,
        limit=entry.limit(),
    )
