"""A signal: a named PromQL expression with component, kind, unit, direction and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from perfloop_base.kubernetes import by_workload
from perfloop_base.promql import WINDOW
from perfloop_base.thresholds import Direction, Kind

Detector = Literal["threshold", "anomaly", "change", "trend", "forecast", "burn", "absence"]


class Limit(BaseModel):
    """Numbers that a signal is compared with, in the signal's unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warning: float | None = Field(
        default=None, description="beyond it, in the signal's direction, the signal is a warning"
    )
    critical: float | None = Field(default=None, description="beyond it the signal is critical")
    goal: float | None = Field(default=None, description="the goal; with `burn`, the SLO's error budget")
    capacity: float | None = Field(default=None, description="the value that forecasts lead up to")


class Parts(BaseModel):
    """The same measure for each part of a service, such as its routes: it says which of them stands out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: tuple[str, ...] = Field(min_length=1, description="the labels that name a part, the first before the others")
    expr: str = Field(min_length=1, description="PromQL with a series for each part; $window is the rate window")

    @field_validator("expr")
    @classmethod
    def _one_line(cls, expr: str) -> str:
        return " ".join(expr.split())

    def query(self, window: str) -> str:
        """Return the PromQL with `window`, such as `1m`, as its rate window."""
        return self.expr.replace(WINDOW, window)


class Pods(BaseModel):
    """How series of pods become one series a workload: a pod lives for days, a workload for years."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: tuple[str, ...] = Field(default=(), description="labels that distinguish the series of one workload: container")
    aggregate: Literal["max", "min", "sum", "avg"] = Field(default="max", description="what PromQL makes of its pods")


class Signal(BaseModel):
    """One entry of a catalogue. Its kind is `use` for a resource, `red` for what callers experience.

    Limits come from thresholds.yml where it has an entry: of the signal named by `threshold` (else of the same name),
    or of the alert named by `alert`. Those of the objective named by `slo` come from slos.yml. `limit` holds otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the signal's name; a later entry replaces an earlier")
    expr: str = Field(min_length=1, description="PromQL; $window stands for the rate window")
    component: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the part of a service or machine it measures")
    kind: Kind = Field(description="use: how full a resource is; red: what callers experience")
    title: str = Field(default="", description="the signal's name for people")
    unit: str = Field(default="", description="the base unit of its values, such as seconds, ratio or bytes")
    direction: Direction = Field(default="above", description="on which side of a limit values are bad")
    limit: Limit = Field(default=Limit(), description="the limits where thresholds.yml gives none")
    own_limits: Mapping[str, Limit] = Field(default={}, description="the limits of single services, by service")
    threshold: str | None = Field(default=None, description="the signal of thresholds.yml whose limits it takes")
    alert: str | None = Field(default=None, description="the alert of thresholds.yml whose limits it takes")
    slo: str | None = Field(default=None, description="the objective of slos.yml that gives its goal or its warning")
    runbook: str = Field(
        default="", description="the alert whose section of the runbook says what to do; thresholds.yml may name it"
    )
    service: str | None = Field(default=None, description="the service of every series, where no label names it")
    transient: tuple[str, ...] = Field(
        default=(), description="with `absence`: the services that come and go; they are not missed"
    )
    pods: Pods | None = Field(
        default=None,
        description="where `expr` has a series for each pod (labels `namespace` and `pod`): how they are put together",
    )
    parts: Parts | None = Field(default=None, description="the query that says which part of a service stands out")
    min_deviation: float = Field(default=0.0, ge=0, description="smaller changes, in its unit, are never reported")
    detect: tuple[Detector, ...] = Field(
        default=("threshold", "anomaly", "change", "trend"), description="the detectors that look at it"
    )

    @field_validator("expr")
    @classmethod
    def _one_line(cls, expr: str) -> str:
        return " ".join(expr.split())

    @property
    def label(self) -> str:
        """The signal's name for people."""
        return self.title or self.name.replace("_", " ")

    @property
    def guide(self) -> str:
        """The alert whose section of the runbook says what to do; empty where there is none."""
        return self.runbook or self.alert or ""

    def query(self, window: str) -> str:
        """Return the PromQL with `window`, such as `1m`, as its rate window."""
        expr = self.expr.replace(WINDOW, window)
        return by_workload(expr, self.pods.by, self.pods.aggregate) if self.pods else expr

    def limit_of(self, service: str) -> Limit:
        """Return the limits of a service."""
        return self.own_limits.get(service, self.limit)

    def is_worse(self, new: float, old: float) -> bool:
        """Return whether a move from `old` to `new` is in the direction of the limit."""
        return new > old if self.direction == "above" else new < old


class CatalogFile(BaseModel):
    """A catalogue file: signals that add to the shipped ones or replace them by name."""

    model_config = ConfigDict(extra="forbid")

    signals: list[Signal]
