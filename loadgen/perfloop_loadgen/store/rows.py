"""Between rows and runs: the queries of the store, and what they read and write."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from perfloop_base.visible import visible
from perfloop_loadgen.store.stored import Baseline, StoredRun
from perfloop_loadgen.store.tables import LONGEST_TEXT, BaselineRow, LabelRow, RunRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

# SQLite takes a bounded number of values in one statement.
AT_ONCE = 500
_SHORT = 64


def newest_first(test: str | None, labels: Mapping[str, str]) -> Select[RunRow]:
    """Return the query of runs, the newest first; of one test, and with labels, where they are given."""
    query = select(RunRow).order_by(RunRow.started.desc(), RunRow.run_id.desc())
    if test is not None:
        query = query.where(RunRow.test == column(test))
    for name, value in labels.items():
        labelled = select(LabelRow.run_id).where(LabelRow.name == column(name), LabelRow.value == column(value))
        query = query.where(RunRow.run_id.in_(labelled))
    return query


def of_baseline(name: str, test: str | None) -> Select[RunRow]:
    """Return the query of a baseline's runs in their order."""
    query = select(RunRow).join(BaselineRow, BaselineRow.run_id == RunRow.run_id).where(BaselineRow.name == name)
    if test is not None:
        query = query.where(BaselineRow.test == column(test))
    return query.order_by(BaselineRow.test, BaselineRow.position)


def read(session: Session, found: Sequence[RunRow]) -> list[StoredRun]:
    """Return the runs of rows, with their labels."""
    labels: dict[str, dict[str, str]] = {row.run_id: {} for row in found}
    names = list(labels)
    for start in range(0, len(names), AT_ONCE):
        query = select(LabelRow).where(LabelRow.run_id.in_(names[start : start + AT_ONCE])).order_by(LabelRow.name)
        for label in session.scalars(query):
            labels[label.run_id][label.name] = label.value
    return [_run(row, labels[row.run_id]) for row in found]


def _run(row: RunRow, labels: dict[str, str]) -> StoredRun:
    values: dict[str, Any] = {name: getattr(row, _COLUMNS.get(name, name)) for name in _FIELDS}
    return StoredRun(**values, labels=labels)


def write(session: Session, run: StoredRun, packed: bytes) -> None:
    """Write a run and its labels; `packed` is its document."""
    values: dict[str, Any] = {_COLUMNS.get(name, name): getattr(run, name) for name in _FIELDS}
    for name in ("test", "base_url", "host"):
        values[name] = column(values[name])
    for name in ("profile", "config_hash", "revision"):
        values[name] = visible(values[name])[:_SHORT]
    session.merge(RunRow(**values, document=packed))
    session.execute(delete(LabelRow).where(LabelRow.run_id == run.run_id))
    session.flush()  # the labels refer to the run
    session.add_all(
        LabelRow(run_id=run.run_id, name=column(name), value=column(value)) for name, value in run.labels.items()
    )


def read_baselines(found: Iterable[BaselineRow]) -> list[Baseline]:
    """Return the baselines of rows that are in the order of their names, tests and positions."""
    return [
        Baseline(name, test, tuple(row.run_id for row in held), max(row.set_at for row in held))
        for (name, test), grouped in groupby(found, key=lambda row: (row.name, row.test))
        for held in [list(grouped)]
    ]


def outlived(session: Session, oldest: float | None, most: int | None) -> list[str]:
    """Return the ids of runs that are no longer kept; the newest of each test and those of baselines stay.

    Args:
        session: The transaction.
        oldest: Unix seconds; None for any age.
        most: How many of the newest stay; None for all.
    """
    order = select(RunRow.run_id, RunRow.test, RunRow.started).order_by(RunRow.started.desc(), RunRow.run_id.desc())
    held = set(session.scalars(select(BaselineRow.run_id)))
    seen: set[str] = set()
    gone = []
    for number, (run_id, test, started) in enumerate(session.execute(order)):
        is_newest = test not in seen
        seen.add(test)
        is_over = (oldest is not None and started < oldest) or (most is not None and number >= most)
        if is_over and not is_newest and run_id not in held:
            gone.append(run_id)
    return gone


def column(text: str) -> str:
    """Return a text that every database can hold in a column."""
    return visible(text)[:LONGEST_TEXT]


_FIELDS = (
    "run_id",
    "test",
    "started_unix",
    "duration_seconds",
    "profile",
    "base_url",
    "state",
    "verdict",
    "config_hash",
    "revision",
    "host",
    "requests",
    "failed",
    "rate",
    "p50_seconds",
    "p95_seconds",
    "p99_seconds",
)
_COLUMNS = {"started_unix": "started"}
