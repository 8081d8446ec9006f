"""A signal: a named PromQL expression with component, kind, unit, direction and limit."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from analyzer.catalog.limits import Direction, Limit, Threshold
from analyzer.config import parse_model, read_yaml
from analyzer.errors import ConfigError

WINDOW = "$window"
HERE = Path(__file__).parent


class Signal(BaseModel):
    """One entry of a catalogue. `use` watches a resource, `red` what callers feel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    expr: str = Field(min_length=1)
    component: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Literal["use", "red"]
    title: str = ""
    unit: str = ""
    direction: Direction = "above"
    limit: Limit = Limit()
    threshold: str | None = None
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

    def is_worse(self, new: float, old: float) -> bool:
        """Whether a move from old to new goes where it hurts."""
        return new > old if self.direction == "above" else new < old


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    signals: list[Signal]


def load_catalog(files: Iterable[Path], thresholds: Mapping[str, Threshold]) -> tuple[Signal, ...]:
    """Read the shipped catalogue and the user's files; a later entry of the same name replaces an earlier one."""
    table: dict[str, Signal] = {}
    problems: list[str] = []
    for path in (*sorted(HERE.glob("*.yml")), *files):
        try:
            for signal in parse_model(_File, read_yaml(path), str(path)).signals:
                table[signal.name] = _with_limit(signal, thresholds)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    covered = {signal.threshold or signal.name for signal in table.values()}
    for entry in thresholds.values():
        if entry.signal not in covered and (entry.expr or entry.record):
            table[entry.signal] = _from_threshold(entry)
    return tuple(table.values())


def _with_limit(signal: Signal, thresholds: Mapping[str, Threshold]) -> Signal:
    entry = thresholds.get(signal.threshold or signal.name)
    if entry is None:
        return signal
    numbers = entry.limit().model_copy(update={"capacity": signal.limit.capacity})
    return signal.model_copy(update={"limit": numbers, "direction": entry.direction})


def _from_threshold(entry: Threshold) -> Signal:
    return Signal(
        name=entry.signal,
        title=entry.title,
        expr=entry.record or entry.expr,
        component=entry.component or "service",
        kind=entry.kind,
        unit=entry.unit,
        direction=entry.direction,
        limit=entry.limit(),
    )
