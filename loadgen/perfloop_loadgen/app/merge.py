"""The command `merge`: find the shares of a load, in files or in the store, and make one run of them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.terminal import show
from perfloop_loadgen.app.remembered import opened
from perfloop_loadgen.app.sharing import merge_shares
from perfloop_loadgen.app.store_flags import ListFlags, labels_of
from perfloop_loadgen.reporters.files import write_reports
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.store.location import NONE
from perfloop_loadgen.summary.document import State, from_json
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfloop_loadgen.app.store_flags import StoreFlags
    from perfloop_loadgen.store.stored import StoredRun
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

_CODES = {Verdict.PASSED: ExitCode.OK, Verdict.FAILED: ExitCode.FAILED, Verdict.INVALID: ExitCode.INVALID}


def merge_runs(store: StoreFlags, references: Sequence[str], which: ListFlags, files: Mapping[str, Path]) -> ExitCode:
    """Print the run that the shares are together, write its reports and store it; return the code of its verdict.

    Args:
        store: where stored shares are, and where the run is stored; `none`: it is not.
        references: files and stored runs; none of them: every stored share that `which` selects.
        which: the labels, and the test, of stored shares.
        files: the file of each report that is wanted.

    Raises:
        ConfigError: a reference names no share, or they are not shares of one load.
        StoreError: the database cannot be read or written.
    """
    document = asyncio.run(merge_shares(_find(store, references, which)))
    for line in summary_lines(document.summary):
        show(line)
    problems = write_reports(document, files)
    for problem in problems:
        log.error(str(problem))
    if store.chosen() != NONE:
        _keep(store.chosen(), document)
    code = ExitCode.STOPPED if document.state is State.STOPPED else _CODES[document.summary.verdict]
    return max(code, ExitCode.NOT_WRITTEN) if problems else code


def _find(store: StoreFlags, references: Sequence[str], which: ListFlags) -> list[Document]:
    if references and which != ListFlags():
        raise ConfigError(
            "give either the shares themselves or --label and --test, by which they are found in the store"
        )
    if not references and not which.labels:
        raise ConfigError(
            "name the shares: their JSON reports, stored runs, or --label NAME=VALUE that all of them have"
        )
    files = [one for one in references if one.endswith(".json") or Path(one).is_file()]
    documents = [from_json(Path(one)) for one in files]
    stored = [one for one in references if one not in files]
    if not stored and references:
        return documents
    with opened(store) as runs:
        if runs is None:
            raise ConfigError("no run is stored: name the JSON reports of the shares")
        documents += (document for one in stored for document in runs.documents(one))
        if not references:
            documents += _labelled(runs.runs(None, labels_of(which.labels)), which.test, runs.get)
    if not documents:
        raise ConfigError("no stored share has these labels")
    return documents


def _labelled(found: Sequence[StoredRun], test: str | None, read: Callable[[str], Document]) -> list[Document]:
    """Return the shares among stored runs, of one test if it is given; the run that they were made into is none."""
    documents = [read(run.run_id) for run in found]
    shares = [document for document in documents if document.share is not None]
    return [one for one in shares if one.share is not None and test in {None, one.share.test}]


def _keep(url: str, document: Document) -> None:
    from perfloop_loadgen.store.facts import publish
    from perfloop_loadgen.store.runs import Retention, open_for_writing

    runs = open_for_writing(url, Retention.everything())
    try:
        runs.save(document)
        publish(runs)
    finally:
        runs.close()
