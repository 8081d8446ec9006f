"""The commands about stored runs: `runs`, `show`, `baseline`, `history`."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError, ExitCode, StoreError
from perfloop_base.quantities import quantity
from perfloop_base.terminal import show
from perfloop_base.visible import brief
from perfloop_loadgen.app.store_flags import ListFlags, StoreFlags, labels_of
from perfloop_loadgen.errors import ReportError
from perfloop_loadgen.reporters.files import replace_file, write_reports
from perfloop_loadgen.reporters.text import seconds, summary_lines
from perfloop_loadgen.store.changes import short
from perfloop_loadgen.store.location import NONE, path_of
from perfloop_loadgen.store.references import checked_name
from perfloop_loadgen.store.unsaved import bring_in, is_any_there, key_of
from perfloop_loadgen.summary.document import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from perfloop_loadgen.store.runs import RunStore
    from perfloop_loadgen.store.stored import StoredRun
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

_COLUMNS = ("RUN", "BEGAN", "TEST", "RESULT", "P95", "RATE", "FAILED", "LABELS", "REVISION")
_HISTORY_RUNS = 2000


@contextmanager
def opened(flags: StoreFlags) -> Iterator[RunStore | None]:
    """Open the store for reading, with the runs that ended processes have left; None while nothing is stored.

    Raises:
        ConfigError: the URL is `none`, or wrong.
        StoreError: the database cannot be read.
    """
    url = flags.chosen()
    if url == NONE:
        raise ConfigError("--store.url is none: nothing is stored")
    path = path_of(url)
    if path is not None and not path.exists() and not is_any_there():
        yield None
        return
    from perfloop_loadgen.store.runs import Retention, RunStore, open_for_writing

    waiting = is_any_there()
    store = open_for_writing(url, Retention.everything()) if waiting else RunStore(url)
    try:
        if waiting:
            _bring_in(store, url)
        yield store
    finally:
        store.close()


def _bring_in(store: RunStore, url: str) -> None:
    from perfloop_loadgen.store.facts import publish

    try:
        if bring_in(store, key_of(url)):
            publish(store)
    except StoreError as error:  # what is stored can be read all the same
        log.warning("runs that ended processes have left are not stored yet: %s", error)


def list_runs(store: StoreFlags, which: ListFlags, limit: int, *, as_json: bool) -> ExitCode:
    """Print the stored runs, the newest first."""
    labels = labels_of(which.labels)
    with opened(store) as runs:
        found = runs.runs(which.test, labels, limit) if runs is not None else []
    if as_json:
        show(json.dumps([run.as_dict() for run in found], indent=2))
    elif not found:
        show("no run is stored" if which == ListFlags() else "no stored run is like that")
    else:
        for line in _table(_COLUMNS, [_cells(run) for run in found]):
            show(line)
    return ExitCode.OK


def show_run(store: StoreFlags, reference: str, files: Mapping[str, Path], *, as_json: bool) -> ExitCode:
    """Print a stored run, or write reports of it."""
    with opened(store) as runs:
        found = [] if runs is None else runs.documents(reference)
    if not found:
        raise ConfigError(f"{brief(reference)} names no stored run: no run is stored")
    if len(found) > 1:
        names = ", ".join(document.run_id for document in found)
        raise ConfigError(f"{reference} has several runs: name one of {names}")
    [document] = found
    problems = write_reports(document, files)
    for problem in problems:
        log.error(str(problem))
    if as_json:
        show(to_json(document).decode())
    elif not files:
        for line in _described(document):
            show(line)
    return ExitCode.NOT_WRITTEN if problems else ExitCode.OK


def set_baseline(store: StoreFlags, name: str, references: Sequence[str]) -> ExitCode:
    """Make stored runs a baseline, and print it."""
    checked_name(name)
    with opened(store) as runs:
        if runs is None:
            raise ConfigError(f"{brief(references[0])} names no stored run: no run is stored")
        found: list[str] = []
        problems: list[str] = []
        for reference in references:
            try:
                found += [run.run_id for run in runs.find(reference)]
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        baselines = runs.set_baseline(name, found)
        _publish(runs)
    for baseline in baselines:
        show(f"baseline {baseline.name} of {baseline.test}: {', '.join(baseline.run_ids)}")
    return ExitCode.OK


def list_baselines(store: StoreFlags, *, as_json: bool) -> ExitCode:
    """Print every baseline."""
    with opened(store) as runs:
        found = [] if runs is None else runs.baselines()
    if as_json:
        show(json.dumps([baseline.as_dict() for baseline in found], indent=2))
    elif not found:
        show("no baseline is set")
    else:
        rows = [(one.name, one.test, str(one.as_dict()["set_at"])[:19] + "Z", ", ".join(one.run_ids)) for one in found]
        for line in _table(("BASELINE", "TEST", "SET", "RUNS"), rows):
            show(line)
    return ExitCode.OK


def remove_baseline(store: StoreFlags, name: str) -> ExitCode:
    """Forget a baseline; its runs stay."""
    with opened(store) as runs:
        if runs is None:
            raise ConfigError(f"there is no baseline {brief(name)}: no run is stored")
        runs.remove_baseline(name)
        _publish(runs)
    return ExitCode.OK


def write_history(store: StoreFlags, which: ListFlags, out: Path) -> ExitCode:
    """Write the page of the stored runs."""
    from perfloop_loadgen.reporters.history_page import history_page

    labels = labels_of(which.labels)
    with opened(store) as runs:
        found = runs.runs(which.test, labels, _HISTORY_RUNS) if runs is not None else []
        baselines = runs.baselines() if runs is not None else []
    try:
        replace_file(out, history_page(found, baselines))
    except OSError as error:
        raise ReportError(f"--out: {out} cannot be written: {error.strerror or error}") from error
    log.info("%d runs are shown in %s", len(found), out)
    return ExitCode.OK


def _publish(store: RunStore) -> None:
    from perfloop_loadgen.store.facts import publish

    publish(store)


def _cells(run: StoredRun) -> tuple[str, ...]:
    return (
        run.run_id,
        run.day,
        run.test,
        run.how,
        seconds(run.p95_seconds),
        quantity(run.rate, "per_second"),
        quantity(run.failed_ratio, "ratio"),
        " ".join(f"{name}={value}" for name, value in run.labels.items()),
        short(run.revision),
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _described(document: Document) -> Iterator[str]:
    labels = " ".join(f"{name}={value}" for name, value in document.labels.items())
    facts = (
        ("run", document.run_id),
        ("began", document.started_at),
        ("load", f"{document.profile} against {document.base_url}"),
        ("state", document.state.value),
        ("labels", labels),
        ("revision", document.revision),
        ("configuration", document.config_hash),
        ("machine", f"{document.host.name}, {document.host.cores} cores, {document.host.system}"),
    )
    yield from (f"{name:<14} {value}" for name, value in facts if value)
    yield from summary_lines(document.summary)
