"""Runs that are not in the database yet: those under way, and those whose database could not be written.

Each is one file. A run under way rewrites its file every few seconds and names its process; a run that has ended
leaves its whole document there until the database has it. Whoever opens the database next brings in what ended runs
and killed processes have left.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from perfloop_base.errors import ConfigError
from perfloop_base.processes import is_alive
from perfloop_base.state import set_aside
from perfloop_loadgen.store.location import directory, make_directory
from perfloop_loadgen.store.snapshot import assembled, restored
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import (
    Document,
    State,
    distribution_of,
    iso_time,
    parse_document,
    to_compact_json,
)
from perfloop_loadgen.summary.measured import histograms_of
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.store.runs import RunStore

log = logging.getLogger(__name__)

FORMAT = 1
_DIRECTORY = "unsaved"
_DIGITS = 16
# To write a file takes a moment: a partial one of this age was left by a process that was killed.
_PARTIAL_SECONDS = 60.0


def key_of(url: str) -> str:
    """Return what sets databases apart without the URL, which may hold a password."""
    return hashlib.sha256(url.encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class UnsavedRun:
    """The file of one run.

    Args:
        run_id: The run.
        store: The database that it is meant for, as `key_of` names it.
    """

    run_id: str
    store: str

    @property
    def path(self) -> Path:
        """Return where the file is."""
        return directory() / _DIRECTORY / f"{self.run_id}.json"

    def of_snapshot(self, base: bytes, taken: Sequence[bytes], process: str) -> bytes:
        """Return the file of a run under way.

        Args:
            base: The run's document as JSON, of a moment when nothing was measured.
            taken: What is measured so far: the steps of `snapshot.steps`.
            process: The run's process, as `perfloop_base.processes.identify` names it.
        """
        return assembled(taken, self._parts(process) | {"document": orjson.Fragment(base)})

    def of_document(self, document: Document) -> bytes:
        """Return the file of a run that has ended."""
        whole = orjson.Fragment(to_compact_json(document))
        return orjson.dumps(self._parts("") | {"document": whole, "measured": None})

    def write(self, content: bytes) -> None:
        """Replace the file; a kill or a full disk leaves the one of before.

        Raises:
            OSError: it cannot be written.
            ConfigError: the home is a directory that all users share.
        """
        make_directory()
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_bytes(content)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the file: the database has the run."""
        with suppress(OSError):
            self.path.unlink()

    def _parts(self, process: str) -> dict[str, Any]:
        return {"format": FORMAT, "store": self.store, "process": process, "written_at": iso_time(time.time())}


def bring_in(store: RunStore, key: str) -> list[Document]:
    """Store the runs that ended processes have left for this database, and return them.

    Raises:
        StoreError: the database cannot be written; the files stay.
    """
    found = []
    _remove_partial()
    for path in _files():
        document = _left(path, key)
        if document is not None:
            # A process of another container may have been taken for dead: what it stored itself is more.
            if document.state is not State.KILLED or not store.has(document.run_id):
                store.save(document)
            with suppress(OSError):
                path.unlink()
            found.append(document)
    return found


def is_any_there() -> bool:
    """Return whether there is any file, of a run under way or one that waits to be brought in."""
    return next(_files(), None) is not None


def _files() -> Iterator[Path]:
    return iter(sorted((directory() / _DIRECTORY).glob("*.json")))


def _remove_partial() -> None:
    """Remove what processes have left that were killed while they wrote a file."""
    oldest = time.time() - _PARTIAL_SECONDS
    for path in (directory() / _DIRECTORY).glob("*.partial"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _left(path: Path, key: str) -> Document | None:
    """Return the run of a file; None while it is under way, where it is meant for another database, or is no run."""
    try:
        file = orjson.loads(path.read_bytes())
        if file["store"] != key or (file["process"] and is_alive(file["process"])):
            return None
        document = parse_document(orjson.dumps(file["document"]), str(path))
        return document if file["measured"] is None else _killed(document, restored(file["measured"]))
    except OSError:  # another program has brought it in
        return None
    except (ValueError, LookupError, TypeError, ConfigError) as error:
        with suppress(OSError):
            moved = set_aside(path, datetime.now(UTC))
            log.error("%s holds no run (%s) and was moved aside to %s", path, error, moved.name)  # noqa: TRY400 - no trace
        return None


def _killed(document: Document, book: Book) -> Document:
    """Return the document of a run whose process was killed, with what was measured until then."""
    elapsed = book.elapsed_seconds
    why = f"killed: what was measured in its first {elapsed:.0f} s is all there is"
    summary = summarize(document.summary.name, book, elapsed, why)
    return replace(
        document,
        summary=replace(summary, verdict=Verdict.INVALID, reasons=[why]),
        timeline=book.timeline(),
        distribution=distribution_of(book.total().response),
        histograms=histograms_of(book),
        state=State.KILLED,
    )
