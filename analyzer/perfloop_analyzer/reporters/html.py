"""The page at `/` and the report: what is wrong and what to do, readable by a person without Grafana."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from perfloop_analyzer.findings import component_name
from perfloop_analyzer.firing import Firing
from perfloop_analyzer.reporters.formatting import (
    clock,
    metric_words,
    mood,
    shown_penalties,
    worst_first,
)
from perfloop_base.plots import Axes, Line, Notes, draw
from perfloop_base.quantities import quantity, span
from perfloop_base.visible import visible
from perfloop_base.web.headers import page_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.published import Published
    from perfloop_analyzer.series import Batch

MOST_PLOTS = 24
SHOWN = frozenset({"detector", "title", "before", "after", "limit", "unit", "p_value", "expr"})
_TEMPLATES = Path(__file__).with_name("templates")
# Of the template, not of a rendered page: what could ever be injected into one is not allowed to run.
PAGE_POLICY = page_policy((_TEMPLATES / "style.html").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that change recommendations, complete as a person runs them.

    Attributes:
        program: What comes before the step, such as `perfloop analyzer`.
        flags: What comes after the id; where the analyzer, its token or its database is.
        enabled: Whether changes are possible at all.
    """

    program: str = "perfloop analyzer"
    flags: tuple[str, ...] = ()
    enabled: bool = True

    def step(self, step: str, identifier: str) -> str:
        """Return the command that moves one recommendation on."""
        return " ".join((self.program, step, shlex.join((identifier, *self.flags))))


@dataclass(frozen=True, slots=True)
class Record:
    """What a report shows besides the newest result: earlier findings, stored recommendations, alerts that fire."""

    past: Sequence[Any] = ()
    stored: Sequence[Any] = ()
    firing: Firing = field(default_factory=Firing)


def render_page(published: Published, now: float, commands: Commands | None = None) -> str:
    """Return the page, which reloads itself; `now` is in Unix seconds."""
    template = _environment().get_template("page.html")
    return template.render(
        result=published.result,
        age=published.age(now),
        is_stale=published.is_stale,
        error=published.error,
        keeper=published.keeper,
        configuration_problem=published.configuration_problem,
        commands=commands or Commands(enabled=False),
    )


def render_report(
    result: Result, batches: Mapping[str, Batch], record: Record, commands: Commands | None = None
) -> str:
    """Return the report: one HTML file without references to others."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            result=result,
            now=result.at,
            plots=plots(result.findings, batches),
            past=record.past,
            stored=record.stored,
            alerts=[_Alert(alert) for alert in record.firing.alerts],
            alerts_problem=record.firing.problem,
            commands=commands or Commands(enabled=False),
        )
    )


class _Alert(dict[str, str]):
    """An alert's labels; one that is missing reads as empty."""

    def __missing__(self, key: str) -> str:
        return ""


def plots(findings: Sequence[Finding], batches: Mapping[str, Batch]) -> list[tuple[str, Markup]]:
    """Return up to MOST_PLOTS plots with their titles: series with a finding first, then the others."""
    found = {(finding.signal, tuple(sorted(finding.labels.items()))): finding for finding in findings}
    rows = [
        (name, row, found.get((name, tuple(sorted(batch.labels[row].items())))))
        for name, batch in batches.items()
        for row in range(len(batch))
    ]
    rows.sort(key=lambda entry: (entry[2] is None, entry[0]))
    drawn = []
    for name, row, finding in rows[:MOST_PLOTS]:
        batch = batches[name]
        title = f"{finding.title if finding else name.replace('_', ' ')} ({_name(batch, row)})"
        title = visible(title)
        drawn.append((title, _plot(title, batch, row, finding)))
    return drawn


def _plot(title: str, batch: Batch, row: int, finding: Finding | None) -> Markup:
    unit = finding.unit if finding else _unit(batch.signal)
    points = list(zip(batch.grid.times().tolist(), batch.values[row].tolist(), strict=True))
    axes = Axes(from_zero=False, moments=True, unit=unit)
    notes = Notes(finding.limit, [finding.onset]) if finding else None
    return Markup(draw(title, [Line(title, points)], axes, notes))  # noqa: S704 - draw() escapes every text


def _name(batch: Batch, row: int) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(batch.labels[row].items())) or "all"


def _unit(name: str) -> str:
    """Return the unit that the name of a signal without a finding implies."""
    for ending, unit in (("_ratio", "ratio"), ("_bytes", "bytes"), ("_bytes_per_second", "bytes_per_second")):
        if name.endswith(ending):
            return unit
    return "seconds" if "_time_" in name or "latency" in name else ""


def _visible(value: object) -> object:
    """Return a text with what does not print as escapes: it may come from a label."""
    return visible(value, newlines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def checkable(evidence: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the evidence that has all that is shown of it; a stored one may be of another version."""
    return [
        item for item in evidence if set(item) >= SHOWN and _are_numbers(item[name] for name in ("before", "after"))
    ]


def _are_numbers(values: Iterable[object]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=_visible
    )
    environment.tests["down_in"] = lambda cause, incident: any(
        finding.is_down and finding.service == cause.service for finding in incident.findings
    )
    environment.filters.update(
        checkable=checkable,
        clock=clock,
        component_name=component_name,
        metric_words=metric_words,
        quantity=quantity,
        mood=mood,
        shown_penalties=shown_penalties,
        span=span,
        worst_first=worst_first,
        zip=zip,
    )
    return environment
