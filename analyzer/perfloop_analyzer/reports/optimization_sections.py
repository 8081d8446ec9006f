"""Recommendations of a window in words and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.recommend import gain_words
from perfloop_analyzer.reports.document import MOST_ROWS, Cell, Fact, Section, Table
from perfloop_analyzer.reports.optimization import STEPS
from perfloop_analyzer.reports.wording import UNKNOWN, counted, money
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.reports.optimization import Advice, Optimization

NO_PRICES = "no prices are given"


def optimization_headlines(found: Optimization) -> tuple[str, ...]:
    """Return what became of recommendations, and what they save."""
    return tuple(_headlines(found))


def _headlines(found: Optimization) -> Iterator[str]:
    if not found.is_known:
        yield "What became of recommendations is not known."
        return
    done = [f"{count} {STEPS[step]}" for step, count in found.counts.items()]
    moved = f"Recommendations: {', '.join(done)}" if done else "No recommendation moved"
    yield f"{moved}; {counted(len(found.open), 'is', 'are')} open."
    kept, known = found.promises
    if known:
        yield f"{kept} of {counted(known, 'change')} brought what was expected."
    if found.measured_saving is not None:
        paid = f"; the work on it is {_paid(found.payback_months)}" if found.payback_months is not None else ""
        yield f"What was done saves {money(found.measured_saving, found.currency)}, measured{paid}."
    elif found.expected_saving is not None:
        yield f"What is open would save {money(found.expected_saving, found.currency)}."


def optimization_section(found: Optimization, *, most: int | None = None) -> Section:
    """Return the section; with `most` so many rows of each table, without what each recommendation says to do."""
    tables = [_moved_table(found), _open_table(found, is_short=most is not None)]
    tables = [table.shortened(most or MOST_ROWS) for table in tables]
    return Section("recommendations", "Recommendations", (), _facts(found), tuple(tables), (), found.unknown)


def _facts(found: Optimization) -> tuple[Fact, ...]:
    if not found.is_known:
        return ()
    kept, known = found.promises
    return (
        Fact("Open", str(len(found.open))),
        Fact("Moved", str(len(found.moved))),
        Fact("As expected", f"{kept} of {known}" if known else "none measured"),
        Fact("Saved, measured", _saved(found)),
    )


def _saved(found: Optimization) -> str:
    if not found.currency:
        return NO_PRICES
    return "nothing yet" if found.measured_saving is None else money(found.measured_saving, found.currency)


def _moved_table(found: Optimization) -> Table:
    columns = ("recommendation", "service", "steps", "state", "expected", "brought", "saves")
    return Table(columns, tuple(_moved_row(one, found.currency) for one in found.moved), "None moved.", "Moved")


def _moved_row(one: Advice, currency: str) -> tuple[Cell, ...]:
    advice = one.recommendation
    outcome = {True: "good", False: "bad", None: ""}[one.kept_its_promise]
    return (
        Cell(advice.title),
        Cell(advice.service),
        Cell(", ".join(STEPS[step] for step in one.steps)),
        Cell(advice.state),
        Cell(_expected(one)),
        Cell(one.brought or "not measured", outcome, advice.reason),
        Cell(_saving(one, currency), small=_paid(one.payback_months)),
    )


def _open_table(found: Optimization, *, is_short: bool) -> Table:
    rows = tuple(
        (
            Cell(one.recommendation.title, small="" if is_short else one.recommendation.action),
            Cell(one.recommendation.service),
            Cell(one.recommendation.priority, one.recommendation.priority),
            Cell(_expected(one)),
            Cell(one.recommendation.effort, small=quantity(one.effort_hours, "h", 2)),
            Cell(_saving(one, found.currency), small=_paid(one.payback_months)),
        )
        for one in found.open
    )
    columns = ("recommendation", "service", "priority", "expected", "effort", "saves")
    return Table(columns, rows, "None is open.", "Open")


def _expected(one: Advice) -> str:
    improvement = one.recommendation.improvement
    return gain_words(improvement) if improvement else UNKNOWN


def _paid(months: float | None) -> str:
    """Return when an effort is paid for; empty where that is not known."""
    if months is None:
        return ""
    return f"paid back after {quantity(months, 'months', 2)}" if months >= 1 else "paid back within a month"


def _saving(one: Advice, currency: str) -> str:
    if one.measured_saving is not None:
        return f"{money(one.measured_saving, currency)}, measured"
    if one.expected_saving is not None:
        return f"{money(one.expected_saving, currency)}, expected"
    return "-"
