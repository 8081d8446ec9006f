"""Panel thresholds, read from prometheus/thresholds.yml and slos.yml: a limit lives once, and so do its words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

from perfloop_base.shipped import shipped_root
from perfloop_boards import colours

ROOM = shipped_root() / "prometheus"


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a signal starts to warn and where it is critical; `below` when low is bad."""

    warning: float | None
    critical: float | None = None
    below: bool = False


NO_LIMIT = Limit(warning=None)
# Of counts that are good at 0 alone: the first is already one to look at, or already bad.
FIRST_WARNS = Limit(warning=1)
FIRST_IS_BAD = Limit(warning=None, critical=1)


@cache
def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOM / name).read_text(encoding="utf-8"))
    return content


def _find(name: str, section: str, key: str, value: str) -> dict[str, Any]:
    return next(entry for entry in _read(name)[section] if entry[key] == value)


def signal_limit(signal: str) -> Limit:
    """The limit of a signal, as thresholds.yml has it."""
    entry = _find("thresholds.yml", "signals", "signal", signal)
    return Limit(entry.get("warning"), entry.get("critical"), below=entry.get("direction") == "below")


def signal_goal(signal: str) -> float:
    """What the signal should be, where warning comes later than the goal."""
    return float(_find("thresholds.yml", "signals", "signal", signal)["goal"])


def alert_limit(alert: str, *, below: bool = False) -> Limit:
    """The limit of an alert of the packs, as thresholds.yml has it; `below` when it fires on low values."""
    entry = _read("thresholds.yml")["limits"][alert]
    return Limit(entry.get("warning", entry.get("info")), entry.get("critical"), below=below)


def slo_limit(slo: str) -> Limit:
    """The limit of a latency objective in seconds, as slos.yml has it: what is slower uses up its budget."""
    return Limit(_find("slos.yml", "slos", "slo", slo)["within"])


def plain(value: float | None) -> str:
    """A limit as a sentence says it; ValueError where the file has none any more: the sentence must be written anew."""
    if value is None:
        raise ValueError("a description speaks of a limit that thresholds.yml does not have")
    return f"{value:g}"


def percent(ratio: float | None) -> str:
    """A limit of a ratio, as `70 %`."""
    return f"{plain(ratio and ratio * 100)} %"


def seconds(value: float | None) -> str:
    """A limit in seconds, as `0.5 s`."""
    return f"{plain(value)} s"


def megabytes(bytes_per_second: float | None) -> str:
    """A limit in bytes per second, as `50 MB/s`."""
    return f"{plain(bytes_per_second and bytes_per_second / 1e6)} MB/s"


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
