"""The limits of panels, from prometheus/thresholds.yml and slos.yml, as Grafana's threshold steps and as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

from perfloop_base.errors import ConfigError
from perfloop_base.quantities import quantity
from perfloop_base.slos import read_slos
from perfloop_base.thresholds import read_thresholds
from perfloop_boards import colours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from perfloop_base.slos import Slo
    from perfloop_base.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a signal starts to warn and where it is critical, in the signal's own unit; `below` when low is bad."""

    warning: float | None
    critical: float | None = None
    below: bool = False

    @property
    def first(self) -> float:
        """The value at which a panel stops being green, for sentences: warning, or critical where nothing warns."""
        return _given(self.warning, self.critical)

    @property
    def last(self) -> float:
        """The worse of the two limits, for sentences: critical, or warning where nothing is critical."""
        return _given(self.critical, self.warning)


def _given(*values: float | None) -> float:
    return next(value for value in values if value is not None)


NO_LIMIT = Limit(warning=None)
_ALL_DIGITS = 12  # a limit is written as its file has it
_Read = TypeVar("_Read")
# Of counts that are good at 0 alone: the first is already one to look at, or already bad.
FIRST_WARNS = Limit(warning=1)
FIRST_IS_BAD = Limit(warning=None, critical=1)
# Of the seconds until something is full: under a day is to act, under a week to plan.
IN_SIGHT = Limit(warning=7 * 86_400, critical=86_400, below=True)
# Between the chunks of a streamed response half a second reads as a pause. No alert watches it.
STUTTER = Limit(warning=0.5)
# The substitute for a limit that the files do not have, until the problem is reported.
_MISSING = Limit(warning=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit of one configuration, by its name; `problems` collects what the boards need and the files lack."""

    thresholds: Thresholds
    slos: Mapping[str, Slo]
    slos_file: str
    problems: list[str] = field(default_factory=list)

    def signal(self, name: str) -> Limit:
        """Return the limit of a signal of thresholds.yml."""
        signal = self.thresholds.find_signal(name)
        if signal is None:
            return self._missing(self.thresholds.file, f"the signal {name}")
        return Limit(signal.limits.get("warning"), signal.limits.get("critical"), below=signal.direction == "below")

    def goal(self, name: str) -> float:
        """Return what a signal should be: its goal, which lies before its warning; its limit where it has no goal."""
        signal = self.thresholds.find_signal(name)
        return self.signal(name).first if signal is None or signal.goal is None else signal.goal

    def alert(self, name: str, *, below: bool = False) -> Limit:
        """Return the limit of an alert of the packs; `below` when it fires on low values."""
        if name not in self.thresholds.alerts:
            return self._missing(self.thresholds.file, f"the limit {name}")
        limits = self.thresholds.alerts[name].limits
        return Limit(limits.get("warning", limits.get("info")), limits.get("critical"), below=below)

    def slo(self, name: str) -> Limit:
        """Return the limit of a latency objective of slos.yml, in seconds: what is slower uses up its error budget."""
        within = self.slos[name].within if name in self.slos else None
        return self._missing(self.slos_file, f"`within` of the SLO {name}") if within is None else Limit(within)

    def by_route(self) -> list[str]:
        """Return the signals that can have a limit of their own for one route, as `signal@route` in the analyzer."""
        return [signal.name for signal in self.thresholds.signals if signal.record_by_route]

    def _missing(self, file: str, what: str) -> Limit:
        self.problems.append(f"{file}: {what} is missing; a dashboard shows it.")
        return _MISSING


def read_limits(directory: Path) -> Limits:
    """Read the limits of a configuration directory.

    Raises:
        ConfigError: with every problem of thresholds.yml and slos.yml.
    """
    problems: list[str] = []
    slos_file = directory / "prometheus" / "slos.yml"
    thresholds = _collect(read_thresholds, directory / "prometheus" / "thresholds.yml", problems)
    slos = _collect(read_slos, slos_file, problems)
    if thresholds is None or slos is None:
        raise ConfigError(problems)
    return Limits(thresholds, {slo.name: slo for slo in slos}, str(slos_file))


def _collect(read: Callable[[Path], _Read], path: Path, problems: list[str]) -> _Read | None:
    """Return what `read` returns for the file, or add its problems to the list and return None."""
    try:
        return read(path)
    except ConfigError as error:
        problems += error.problems
        return None


def plain(value: float) -> str:
    """Return a limit without a unit."""
    return quantity(value, "number", _ALL_DIGITS)


def percent(ratio: float) -> str:
    """Return a limit of a ratio, such as `70%`."""
    return quantity(ratio, "ratio", _ALL_DIGITS)


def seconds(value: float) -> str:
    """Return a limit in seconds, such as `1 s` or `500 ms`."""
    return quantity(value, "seconds", _ALL_DIGITS)


def megabytes(bytes_per_second: float) -> str:
    """Return a limit in bytes per second, such as `50 MB/s`."""
    return quantity(bytes_per_second, "bytes_per_second", _ALL_DIGITS)


def build_steps(limit: Limit) -> dashboard.ThresholdsConfig:
    """Return Grafana's threshold steps, lowest first: green is good on every board."""
    steps = _rising(limit) if not limit.below else _falling(limit)
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def build_lines(limit: Limit) -> dashboard.ThresholdsConfig:
    """Return the steps of a panel that draws limits as lines: each line has the colour of its own limit.

    Where low is bad, a figure's step has the colour of what lies above it: its line would be green where it warns.
    """
    ends = ((limit.warning, colours.WARNING), (limit.critical, colours.BAD))
    steps = sorted((Threshold(value=value, color=colour) for value, colour in ends if value is not None), key=_value)
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=None, color=colours.GOOD), *steps])
    )


def _value(step: Threshold) -> float:
    return step.value or 0.0


def _rising(limit: Limit) -> list[Threshold]:
    steps = [Threshold(value=None, color=colours.GOOD)]
    if limit.warning is not None:
        steps.append(Threshold(value=limit.warning, color=colours.WARNING))
    if limit.critical is not None:
        steps.append(Threshold(value=limit.critical, color=colours.BAD))
    return steps


def _falling(limit: Limit) -> list[Threshold]:
    # Grafana colours from a step upwards, so that each step has the colour of what lies above it.
    above_critical = colours.WARNING if limit.warning is not None else colours.GOOD
    lowest = colours.BAD if limit.critical is not None else above_critical
    steps = [Threshold(value=None, color=lowest)]
    if limit.critical is not None:
        steps.append(Threshold(value=limit.critical, color=above_critical))
    if limit.warning is not None:
        steps.append(Threshold(value=limit.warning, color=colours.GOOD))
    return steps
