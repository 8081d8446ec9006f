"""`slos.yml` as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_rules.errors import RulebookError
from perfloop_rules.located import Entry, entries, read_located
from perfloop_rules.thresholds import COMPONENTS

if TYPE_CHECKING:
    from pathlib import Path

SHOWN_AS = "prometheus/slos.yml"
EXPRESSIONS = ("total", "bad", "good")
FIELDS = ("slo", "title", "alert", "objective", "within", "component", "owner", "minimum_events", *EXPRESSIONS)
WINDOW = "$window"
WITHIN = "$within"


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
    within = _within(entry, what)
    total = _limited(entry.text("total", what), within)
    share = _limited(entry.text("good" if "good" in entry else "bad", what), within)
    for key in EXPRESSIONS:
        if key in entry and WINDOW not in str(entry[key]):
            entry.complain(f"{what}: {key} does not say {WINDOW}, so it cannot be asked over several windows.", key)
    return Slo(
        name=name,
        title=entry.text("title", what).replace(WITHIN, f"{within:g} s"),
        alert=entry.text("alert", what),
        objective=objective,
        component=entry.choice("component", what, COMPONENTS),
        owner=entry.text("owner", what),
        minimum_events=entry.number("minimum_events", what) or 0.0,
        total=total,
        bad=f"({share}) or ({total}) * 0" if "bad" in entry else f"({total}) - ({share})",
        line=entry.line,
    )


def _within(entry: Entry, what: str) -> float:
    """Return the limit of a latency objective in seconds, 0 where there is none."""
    if "within" not in entry:
        for key in ("title", *EXPRESSIONS):
            if WITHIN in str(entry.get(key)):
                entry.complain(f"{what}: {key} says {WITHIN}, but there is no within.", key)
        return 0.0
    within = entry.number("within", what)
    if within == 0:
        entry.complain(f"{what}: within has the value {entry['within']!r}; it must be above 0 seconds.", "within")
    if WITHIN not in f"{entry.get('good')} {entry.get('bad')}":
        entry.complain(f"{what}: neither good nor bad says {WITHIN}, so that its within limits nothing.", "within")
    return within or 0.0


def _limited(expr: str, within: float) -> str:
    # Prometheus 3 writes le="1.0" where 2 wrote le="1".
    whole = within == int(within)
    return expr.replace(WITHIN, f'le=~"{within:g}|{within:.1f}"' if whole else f'le="{within:g}"')
