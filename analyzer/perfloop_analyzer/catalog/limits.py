"""The limits of signals: one home, `prometheus/thresholds.yml`, which alerts and exporter read too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from perfloop_analyzer.config import parse_model, read_yaml
from perfloop_analyzer.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

Direction = Literal["above", "below"]


class Limit(BaseModel):
    """Where a signal starts to hurt: warning and critical in its direction, the goal, and the hard end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warning: float | None = None
    critical: float | None = None
    goal: float | None = None
    capacity: float | None = None


class Override(BaseModel):
    """One line under `overrides`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signal: str
    service: str = ""
    route: str = ""
    info: float | None = None
    warning: float | None = None
    critical: float | None = None

    @model_validator(mode="after")
    def _names_someone(self) -> Self:
        if not self.service and not self.route:
            raise ValueError("it names neither a service nor a route")
        return self

    def limit(self, usual: Limit) -> Limit:
        """Return the usual limit with what differs put in."""
        own = {"warning": self.warning, "critical": self.critical}
        return usual.model_copy(update={name: value for name, value in own.items() if value is not None})

    @property
    def matchers(self) -> str:
        """The label matchers of the series that are meant."""
        names = {"service": self.service, "http_route": self.route}
        return ",".join(f'{name}="{value}"' for name, value in names.items() if value)


class Threshold(BaseModel):
    """One entry of thresholds.yml, as far as the analyzer needs it (its other fields belong to the alert rules)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    signal: str
    title: str = ""
    component: str = ""
    kind: Literal["use", "red"] = "red"
    unit: str = ""
    direction: Direction = "above"
    warning: float
    critical: float | None = None
    goal: float | None = None
    expr: str = ""
    record: str = ""
    overrides: tuple[Override, ...] = ()

    def limit(self) -> Limit:
        """The numbers alone."""
        return Limit(warning=self.warning, critical=self.critical, goal=self.goal)


class AlertLimit(BaseModel):
    """One line under `limits`: the numbers of an alert, which a signal takes by naming it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    warning: float | None = None
    critical: float | None = None

    def limit(self, usual: Limit) -> Limit:
        """Return the usual limit with the alert's numbers put in."""
        return usual.model_copy(update=self.model_dump(exclude_none=True))


class Thresholds(BaseModel):
    """What thresholds.yml says: the signals by name, with their overrides, and the limits of alerts by name."""

    model_config = ConfigDict(frozen=True)

    signals: Mapping[str, Threshold] = Field(default_factory=dict)
    alerts: Mapping[str, AlertLimit] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    thresholds: list[Threshold] = Field(default_factory=list)
    overrides: list[Override] = Field(default_factory=list)
    limits: dict[str, AlertLimit] = Field(default_factory=dict)


def read_thresholds(path: Path | None) -> Thresholds:
    """Read thresholds.yml; no path means no limits but the catalogue's own."""
    if path is None:
        return Thresholds()
    data = read_yaml(path)
    if isinstance(data, list):
        data = {"thresholds": data}
    if isinstance(data, dict) and "signals" in data and "thresholds" not in data:
        data = {**data, "thresholds": data["signals"]}
    file = parse_model(_File, data, str(path))
    names = [entry.signal for entry in file.thresholds]
    problems = [f"signal '{name}' is listed more than once" for name in sorted(set(names)) if names.count(name) > 1]
    problems += [
        f"an override is for '{one.signal}', which is no signal" for one in file.overrides if one.signal not in names
    ]
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    signals = {one.signal: one.model_copy(update={"overrides": _of(one, file.overrides)}) for one in file.thresholds}
    return Thresholds(signals=signals, alerts=file.limits)


def _of(entry: Threshold, overrides: list[Override]) -> tuple[Override, ...]:
    return tuple(one for one in overrides if one.signal == entry.signal)
