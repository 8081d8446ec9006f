"""A signal: a named PromQL expression with component, kind, unit, direction and limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from perfloop_analyzer.catalog.limits import Direction, Limit

WINDOW = "$window"


class Signal(BaseModel):
    """One entry of a catalogue. `use` watches a resource, `red` what callers feel.

    Its numbers are those of the signal in thresholds.yml that it names by `threshold` (or that has its name), or of the
    alert there that it names by `alert`; `limit` holds where that file says nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    expr: str = Field(min_length=1)
    component: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Literal["use", "red"]
    title: str = ""
    unit: str = ""
    direction: Direction = "above"
    limit: Limit = Limit()
    own_limits: Mapping[str, Limit] = {}
    threshold: str | None = None
    alert: str | None = None
    service: str | None = None
    min_deviation: float = 0.0
    detect: tuple[Literal["threshold", "anomaly", "change", "trend", "forecast", "burn"], ...] = (
        "threshold",
        "anomaly",
        "change",
        "trend",
    )

    @field_validator("expr")
    @classmethod
    def _one_line(cls, expr: str) -> str:
        return " ".join(expr.split())

    @property
    def label(self) -> str:
        """What a person reads."""
        return self.title or self.name.replace("_", " ")

    def query(self, window: str) -> str:
        """The PromQL with its rate window filled in."""
        return self.expr.replace(WINDOW, window)

    def limit_of(self, service: str) -> Limit:
        """Return the limit that holds for a service."""
        return self.own_limits.get(service, self.limit)

    def is_worse(self, new: float, old: float) -> bool:
        """Whether a move from old to new goes where it hurts."""
        return new > old if self.direction == "above" else new < old
