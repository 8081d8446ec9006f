"""The limits of signals: one home, `prometheus/thresholds.yml`, which alerts and exporter read too."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from analyzer.config import parse_model, read_yaml
from analyzer.errors import ConfigError

Direction = Literal["above", "below"]


class Limit(BaseModel):
    """Where a signal starts to hurt: warning and critical in its direction, the goal, and the hard end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warning: float | None = None
    critical: float | None = None
    goal: float | None = None
    capacity: float | None = None


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

    def limit(self) -> Limit:
        """The numbers alone."""
        return Limit(warning=self.warning, critical=self.critical, goal=self.goal)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    thresholds: list[Threshold] = Field(default_factory=list)


def read_thresholds(path: Path | None) -> dict[str, Threshold]:
    """Read thresholds.yml into a table by signal; no path means no table."""
    if path is None:
        return {}
    data = read_yaml(path)
    if isinstance(data, list):
        data = {"thresholds": data}
    if isinstance(data, dict) and "signals" in data and "thresholds" not in data:
        data = {"thresholds": data["signals"]}
    entries = parse_model(_File, data, str(path)).thresholds
    table = {entry.signal: entry for entry in entries}
    if len(table) < len(entries):
        names = [entry.signal for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError([f"{path}: signal '{name}' is listed more than once" for name in twice])
    return table
