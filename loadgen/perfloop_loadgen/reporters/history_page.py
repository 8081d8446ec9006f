"""The stored runs of every test on one page: no script, no font, no address outside itself."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from perfloop_base.pages import head
from perfloop_base.plots import Axes, Line, Notes, figure
from perfloop_base.quantities import quantity
from perfloop_loadgen.reporters.text import seconds
from perfloop_loadgen.store.changes import FIGURES, Change, Figure, changes_of, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.store.stored import Baseline, StoredRun

_STYLE = """td.number, th.number { text-align: right; white-space: nowrap; }
figcaption i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .3em; }
"""
_MOST_ROWS = 100
_CHIPS = {"passed": "good", "failed": "bad"}
_COLUMNS = ("Began", "Run", "Verdict", "p95", "p99", "Rate", "Failed", "Labels", "Revision", "Baseline")
_NUMBERS = {"p95", "p99", "Rate", "Failed"}


def history_page(runs: Sequence[StoredRun], baselines: Sequence[Baseline] = ()) -> bytes:
    """Return the page of the given runs, in any order, each test with a section of its own."""
    named: dict[str, list[str]] = {}
    for baseline in baselines:
        for run_id in baseline.run_ids:
            named.setdefault(run_id, []).append(baseline.name)
    by_test = sorted(runs, key=lambda run: (run.test, run.started_unix, run.run_id))
    sections = [_section(test, list(own), named) for test, own in groupby(by_test, key=lambda run: run.test)]
    about = "Every stored run; a vertical mark is a run from which on a figure is at another level than before."
    if not sections:
        sections = ['<p class="soft">No run is stored.</p>\n']
    page = (
        f"{head('Load-test history', _STYLE)}<main>\n<h1>Load-test history</h1>\n"
        f'<p class="soft">{about}</p>\n{"".join(sections)}</main>\n</body>\n</html>\n'
    )
    return page.encode()


def _section(test: str, runs: list[StoredRun], named: dict[str, list[str]]) -> str:
    changes = changes_of(runs)
    marks = {run.run_id for run in (change.run for change in changes)}
    plots = "".join(_plot(one, runs, changes) for one in FIGURES)
    newest = runs[: -_MOST_ROWS - 1 : -1]
    rows = "".join(_row(run, named.get(run.run_id, []), is_marked=run.run_id in marks) for run in newest)
    titles = "".join(f"<th{_class(name)}>{name}</th>" for name in _COLUMNS)
    left_out = len(runs) - len(newest)
    older = f'<p class="soft">{left_out} older runs are in the plots only.</p>\n' if left_out else ""
    return (
        f"<section>\n<h2>{escape(test)}</h2>\n{''.join(_notices(changes))}{plots}\n"
        f'<div class="scroll"><table>\n<tr>{titles}</tr>\n{rows}</table></div>\n{older}</section>\n'
    )


def _notices(changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        kind = "bad" if change.is_worse else "good"
        yield f'<p class="notice {kind}">{escape(change.run.day)}: {escape(change.sentence())}</p>\n'


def _plot(one: Figure, runs: Sequence[StoredRun], changes: Sequence[Change]) -> str:
    usable = [run for run in runs if run.is_usable]
    line = Line(one.name, [(run.started_unix, one.read(run)) for run in usable])
    marks = [change.run.started_unix for change in changes if change.figure is one]
    return figure(one.name, [line], Axes(moments=True, unit=one.unit, from_zero=one.rest), Notes(marks=marks))


def _row(run: StoredRun, baselines: Sequence[str], *, is_marked: bool) -> str:
    verdict = f'<span class="chip {_CHIPS.get(run.how, "fair")}">{escape(run.how)}</span>'
    labels = ", ".join(f"{name}={value}" for name, value in run.labels.items())
    cells = (
        (f"<b>{escape(run.day)}</b>" if is_marked else escape(run.day)),
        escape(run.run_id),
        verdict,
        seconds(run.p95_seconds),
        seconds(run.p99_seconds),
        quantity(run.rate, "per_second"),
        quantity(run.failed_ratio, "ratio"),
        escape(labels),
        escape(short(run.revision)),
        escape(", ".join(baselines)),
    )
    return (
        "<tr>"
        + "".join(f"<td{_class(name)}>{cell}</td>" for name, cell in zip(_COLUMNS, cells, strict=True))
        + "</tr>\n"
    )


def _class(column: str) -> str:
    return ' class="number"' if column in _NUMBERS else ""
