"""Panel thresholds, read from prometheus/thresholds.yml: a limit lives once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

from boards import colours

THRESHOLDS_FILE = Path(__file__).resolve().parents[2] / "prometheus" / "thresholds.yml"


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a signal starts to warn and where it is critical; `below` when low is bad."""

    warning: float | None
    critical: float | None = None
    below: bool = False


NO_LIMIT = Limit(warning=None)


@cache
def _signals() -> dict[str, dict[str, Any]]:
    entries = yaml.safe_load(THRESHOLDS_FILE.read_text(encoding="utf-8"))
    return {entry["signal"]: entry for entry in entries["signals"]}


def signal_limit(signal: str) -> Limit:
    """The limit of a signal, as thresholds.yml has it."""
    entry = _signals()[signal]
    return Limit(entry.get("warning"), entry.get("critical"), below=entry.get("direction") == "below")


def signal_goal(signal: str) -> float:
    """What the signal should be, where warning comes later than the goal."""
    return float(_signals()[signal]["goal"])


def build_steps(limit: Limit) -> dashboard.ThresholdsConfig:
    """Grafana's threshold steps, lowest first: green is good on every board."""
    steps = _rising(limit) if not limit.below else _falling(limit)
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _rising(limit: Limit) -> list[Threshold]:
    steps = [Threshold(value=None, color=colours.GOOD)]
    if limit.warning is not None:
        steps.append(Threshold(value=limit.warning, color=colours.WARNING))
    if limit.critical is not None:
        steps.append(Threshold(value=limit.critical, color=colours.BAD))
    return steps


def _falling(limit: Limit) -> list[Threshold]:
    lowest = colours.BAD if limit.critical is not None else colours.WARNING
    steps = [Threshold(value=None, color=lowest)]
    if limit.critical is not None:
        steps.append(Threshold(value=limit.critical, color=colours.WARNING))
    if limit.warning is not None:
        steps.append(Threshold(value=limit.warning, color=colours.GOOD))
    return steps
