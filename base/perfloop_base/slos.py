"""The one schema and reader of `prometheus/slos.yml`: the service level objectives.

Rules, boards and the stack command read the file through here. Dataclasses and located.py, no pydantic: see there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, Field, parse_located, read_located
from perfloop_base.quantities import quantity
from perfloop_base.thresholds import COMPONENTS

if TYPE_CHECKING:
    from pathlib import Path

PERIOD = "30d"
WINDOW = "$window"
WITHIN = "$within"
EXPRESSIONS = ("total", "bad", "good")
SLO_FIELDS = (
    Field(name="slo", about="the objective's name"),
    Field(name="title", about="what is promised, for people; $within stands for the limit"),
    Field(name="alert", about="the name of the alert that fires when the error budget burns too fast"),
    Field(name="objective", kind="number", about="the share of good events that is promised, between 0 and 1"),
    Field(
        name="within",
        kind="number",
        required=False,
        about="of a latency objective: its limit in seconds, a boundary of the histogram's buckets",
    ),
    Field(name="component", kind="choice", choices=COMPONENTS, about="the part of a service that it measures"),
    Field(
        name="signal",
        required=False,
        default="",
        about="the signal whose alert reports the same fault, and whose cause and remedy the message gives",
    ),
    Field(name="owner", about="the team that the alert is routed to"),
    Field(
        name="minimum_events",
        kind="number",
        required=False,
        default=0.0,
        about="below this many events in the long window of an alert nothing fires",
    ),
    Field(name="total", about="PromQL of the rate of all events; $window stands for the range"),
    Field(name="bad", required=False, about="PromQL of the rate of bad events, with the labels of total"),
    Field(name="good", required=False, about="PromQL of the rate of good events, with the labels of total"),
)


@dataclass(frozen=True, slots=True)
class Slo:
    """One promise: a share of good events.

    Attributes:
        signal: the signal that measures the same thing; empty where there is none.
        within: the limit of a latency objective in seconds; None where the objective has no limit.
        total: PromQL of the rate of all events; `$window` is left in it.
        bad: the same of the bad ones; 0 where there are events and none is bad.
        line: where the entry begins in the file.
    """

    name: str
    title: str
    alert: str
    objective: float
    within: float | None
    component: str
    signal: str
    owner: str
    minimum_events: float
    total: str
    bad: str
    line: int

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 12)


def read_slos(path: Path, shown_as: str | None = None) -> tuple[Slo, ...]:
    """Read and check the file; `shown_as` is its name in problems, by default its path from the current directory.

    Raises:
        ConfigError: with every problem of the file, one sentence each: `file:line: …`.
    """
    return _check(read_located(path, [], shown_as))


def parse_slos(text: str, shown_as: str) -> tuple[Slo, ...]:
    """Do the same with the text of a file.

    Raises:
        ConfigError: with every problem of the text.
    """
    return _check(parse_located(text, shown_as, []))


def _check(root: Entry) -> tuple[Slo, ...]:
    root.allow(("window", "slos"), "the file")
    if root.get("window") != PERIOD:
        root.report(
            f"window has the value {root.get('window')!r}; it must be {PERIOD}, as the burn rates are.", "window"
        )
    slos = tuple(_read_slo(entry) for entry in root.mappings("slos"))
    for field in ("name", "alert"):
        for value, count in Counter(getattr(slo, field) for slo in slos).items():
            if value and count > 1:
                what = "SLO" if field == "name" else field
                root.report(f"the {what} {value!r} is defined {count} times; every SLO has its own.", "slos")
    if root.problems:
        raise ConfigError(root.problems)
    return slos


def _read_slo(entry: Entry) -> Slo:
    what = entry.title("SLO", "slo")
    values = entry.read(SLO_FIELDS, what)
    objective = values["objective"] or 0.0
    if values["objective"] is not None and not 0 < objective < 1:
        entry.report(
            f"{what}: objective has the value {entry['objective']!r}; it must lie between 0 and 1.", "objective"
        )
    if ("bad" in entry) == ("good" in entry):
        entry.report(f"{what}: exactly one of bad and good must be given.")
    _check_placeholders(entry, what)
    within = values["within"]
    title, total, share = (
        str(text or "") for text in (values["title"], values["total"], values["good"] or values["bad"])
    )
    total, share = _with_limit(total, within), _with_limit(share, within)
    return Slo(
        name=values["slo"],
        title=title.replace(WITHIN, quantity(within, "seconds", digits=12)),
        alert=values["alert"],
        objective=objective,
        within=within,
        component=values["component"],
        signal=values["signal"],
        owner=values["owner"],
        minimum_events=values["minimum_events"],
        total=total,
        bad=f"({share}) or ({total}) * 0" if "bad" in entry else f"({total}) - ({share})",
        line=entry.line,
    )


def _check_placeholders(entry: Entry, what: str) -> None:
    for key in EXPRESSIONS:
        if key in entry and WINDOW not in str(entry[key]):
            entry.report(f"{what}: {key} does not contain {WINDOW}, so it cannot be asked over several windows.", key)
    if "within" not in entry:
        for key in ("title", *EXPRESSIONS):
            if WITHIN in str(entry.get(key)):
                entry.report(f"{what}: {key} contains {WITHIN}, but within is missing.", key)
        return
    if entry["within"] == 0:
        entry.report(f"{what}: within has the value {entry['within']!r}; it must be above 0 seconds.", "within")
    if WITHIN not in f"{entry.get('good')} {entry.get('bad')}":
        entry.report(f"{what}: neither good nor bad contains {WITHIN}, so that within limits nothing.", "within")


def _with_limit(expr: str, within: float | None) -> str:
    """Return the expression with the label matcher of the bucket at `within` seconds in place of $within."""
    if within is None:
        return expr
    # Prometheus 3 writes le="1.0" where 2 wrote le="1".
    is_whole = within == int(within)
    return expr.replace(WITHIN, f'le=~"{within:g}|{within:.1f}"' if is_whole else f'le="{within:g}"')
