"""The page at `/` and the report: what is wrong and what to do, readable by a person without Grafana."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from perfloop_analyzer.reporters.formatting import clock, metric_words, mood, worst_first
from perfloop_base.plots import Axes, Line, Notes, draw
from perfloop_base.quantities import quantity, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.reporters.metrics import Published
    from perfloop_analyzer.series import Batch

MOST_PLOTS = 24


def render_page(published: Published, now: float) -> str:
    """Render the page; it reloads itself."""
    result: Result | None = published.result
    return _environment().get_template("page.html").render(result=result, trouble=published.trouble, now=now)


@dataclass(frozen=True, slots=True)
class Record:
    """What a report tells besides the newest result: earlier findings, stored recommendations, alerts."""

    past: Sequence[Any] = ()
    stored: Sequence[Any] = ()
    alerts: Sequence[Mapping[str, str]] = ()


def render_report(result: Result, batches: Mapping[str, Batch], record: Record) -> str:
    """Render the report: one file with everything in it."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            result=result,
            now=result.at,
            plots=plots(result.findings, batches),
            past=record.past,
            stored=record.stored,
            alerts=[_Alert(alert) for alert in record.alerts],
        )
    )


class _Alert(dict[str, str]):
    """An alert's labels; one that is missing reads as empty."""

    def __missing__(self, key: str) -> str:
        return ""


def plots(findings: Sequence[Finding], batches: Mapping[str, Batch]) -> list[tuple[str, Markup]]:
    """Draw every series that has a finding first, then the others that have a limit or a number to show."""
    troubled = {(finding.signal, tuple(sorted(finding.labels.items()))): finding for finding in findings}
    rows = [
        (name, row, troubled.get((name, tuple(sorted(batch.labels[row].items())))))
        for name, batch in batches.items()
        for row in range(len(batch))
    ]
    rows.sort(key=lambda entry: (entry[2] is None, entry[0]))
    drawn = []
    for name, row, finding in rows[:MOST_PLOTS]:
        batch = batches[name]
        title = f"{finding.title if finding else name.replace('_', ' ')} ({_name(batch, row)})"
        drawn.append((title, _plot(title, batch, row, finding)))
    return drawn


def _plot(title: str, batch: Batch, row: int, finding: Finding | None) -> Markup:
    unit = finding.unit if finding else _unit(batch.signal)
    points = list(zip(batch.grid.times().tolist(), batch.values[row].tolist(), strict=True))
    axes = Axes(write_x=clock, write_y=partial(quantity, unit=unit), from_zero=False, ends_only=True)
    notes = Notes(finding.limit, [finding.onset]) if finding else None
    return Markup(draw(title, [Line(title, points)], axes, notes))  # noqa: S704 - draw() escapes every text


def _name(batch: Batch, row: int) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(batch.labels[row].items())) or "all"


def _unit(name: str) -> str:
    """Names of signals end in their unit, or are times."""
    for ending, unit in (("_ratio", "ratio"), ("_bytes", "bytes"), ("_bytes_per_second", "bytes_per_second")):
        if name.endswith(ending):
            return unit
    return "seconds" if "_time_" in name or "latency" in name else ""


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters.update(
        clock=clock,
        metric_words=metric_words,
        quantity=quantity,
        mood=mood,
        span=span,
        worst_first=worst_first,
        zip=zip,
    )
    return environment
