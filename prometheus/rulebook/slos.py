"""`slos.yml` as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rulebook.errors import RulebookError
from rulebook.located import Entry, entries, read_located
from rulebook.thresholds import COMPONENTS

if TYPE_CHECKING:
    from pathlib import Path

SHOWN_AS = "prometheus/slos.yml"
FIELDS = ("slo", "title", "alert", "objective", "component", "owner", "minimum_events", "total", "bad", "good")
WINDOW = "$window"


@dataclass(frozen=True, slots=True)
class Slo:
    """One promise: a share of good events."""

    name: str
    title: str
    alert: str
    objective: float
    component: str
    owner: str
    minimum_events: float
    total: str
    bad: str
    line: int

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 12)


def read_slos(path: Path) -> tuple[Slo, ...]:
    """Read and check the file; raise RulebookError with every problem in it."""
    problems: list[str] = []
    root = read_located(path, SHOWN_AS, problems)
    root.only(("window", "slos"), "slos")
    if root.get("window") != "30d":
        root.complain(f"window has the value {root.get('window')!r}; the burn windows are made for 30d.", "window")
    slos = tuple(_slo(entry) for entry in entries(root, "slos"))
    if problems:
        raise RulebookError(problems)
    return slos


def _slo(entry: Entry) -> Slo:
    name = entry.text("slo", "an SLO")
    what = f"SLO {name}"
    entry.only(FIELDS, what)
    objective = entry.number("objective", what) or 0.0
    if not 0 < objective < 1:
        entry.complain(
            f"{what}: objective has the value {entry.get('objective')!r}; it must lie between 0 and 1.", "objective"
        )
    if ("bad" in entry) == ("good" in entry):
        entry.complain(f"{what}: exactly one of bad and good must be given.")
    total = entry.text("total", what)
    share = entry.text("good" if "good" in entry else "bad", what)
    for key in ("total", "bad", "good"):
        if key in entry and WINDOW not in str(entry[key]):
            entry.complain(f"{what}: {key} does not say {WINDOW}, so it cannot be asked over several windows.", key)
    return Slo(
        name=name,
        title=entry.text("title", what),
        alert=entry.text("alert", what),
        objective=objective,
        component=entry.choice("component", what, COMPONENTS),
        owner=entry.text("owner", what),
        minimum_events=entry.number("minimum_events", what) or 0.0,
        total=total,
        bad=f"({share}) or ({total}) * 0" if "bad" in entry else f"({total}) - ({share})",
        line=entry.line,
    )
