"""What keeps the runs of a session: a file of each run while it lasts, the database once it has ended.

No failure here ends a run or changes what it measured. SQLAlchemy is imported when a run has ended, in a thread, so
that neither the start of a run nor its requests wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from perfloop_base.errors import ExitCode, PerfloopError, StoreError
from perfloop_base.processes import identify
from perfloop_loadgen.app.revision import read_revision
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.store.location import NONE, path_of
from perfloop_loadgen.store.snapshot import steps
from perfloop_loadgen.store.stored import StoredRun
from perfloop_loadgen.store.unsaved import UnsavedRun, bring_in, key_of
from perfloop_loadgen.summary.document import Document, State, iso_time, to_compact_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfloop_loadgen.app.suite import Tester
    from perfloop_loadgen.store.runs import RunStore

T = TypeVar("T")
_Run = tuple[Document, UnsavedRun]
log = logging.getLogger(__name__)

# A file of a run under way is written this often, and of a run of a quarter of an hour or more every ten seconds; or
# more seldom: at most this share of the loop's time is for it.
FILE_SECONDS, _LONGEST_FILE_SECONDS = 2.0, 10.0
_FILE_SHARE = 0.003
# A server may be slow; of one that hangs, and of a session that was stopped, the run's file is what stays.
_SAVE_SECONDS = 30.0
_HURRIED_SAVE_SECONDS = 1.5
_WRITE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a session asks of the store.

    Attributes:
        url: The database; `none`: nothing is kept.
        labels: Of every run of the session.
        baseline: The name under which the runs are to be compared with; empty for none.
        keep_days: Older runs are deleted; 0 for never.
        keep_runs: The oldest ones beyond so many are deleted; 0 for never.
    """

    url: str = NONE
    labels: Mapping[str, str] = field(default_factory=dict)
    baseline: str = ""
    keep_days: float = 365.0
    keep_runs: int = 2000


class Memory:
    """Keeps the runs of one session.

    Raises:
        ConfigError: the URL is not a database URL, or its driver is not installed.
    """

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._is_on = keeping.url != NONE
        self._key = key_of(keeping.url)
        self._revision = ""
        self._saved: list[StoredRun] = []
        self._writer: FileWriter | None = None
        if self._is_on and path_of(keeping.url) is None:
            # A server's URL may be wrong in many ways: better said before a long run than after it.
            from perfloop_base.database.engines import open_engine

            open_engine(keeping.url).dispose()

    async def make_ready(self) -> None:
        """Look at the working directory, before anything runs."""
        if self._is_on:
            self._revision = await _in_thread(read_revision, _SAVE_SECONDS)

    def follow(self, tester: Tester, name: str) -> None:
        """Keep a run's file while it lasts; `name` is what people know it by."""
        if self._is_on:
            unsaved = UnsavedRun(tester.run_id, self._key)
            self._writer = FileWriter(tester, unsaved, lambda base: self.marked(base, name))
            tester.listeners.append(self._writer.second)

    def marked(self, document: Document, name: str = "", state: State = State.ENDED) -> Document:
        """Return a run's document with what the session knows of it.

        Args:
            document: the run.
            name: what people know it by; left out: when it began, and the test.
            state: how it came to its end.
        """
        labels = {key: shown(value) for key, value in self._keeping.labels.items()}
        name = name or f"{StoredRun.of(document).day} {document.summary.name}"
        return replace(document, run_name=name, labels=labels, revision=self._revision, state=state)

    async def keep(self, documents: Sequence[Document], *, hurry: bool = False) -> ExitCode:
        """Store runs that have ended; what fails is said, and leaves them in their files.

        Args:
            documents: the runs, several of a test that was repeated.
            hurry: whether somebody waits for the program's end.
        """
        if not self._is_on or not documents:
            return ExitCode.OK
        runs = [(document, UnsavedRun(document.run_id, self._key)) for document in documents]
        kept = await self._are_written(runs)
        where = f"it is kept in {runs[0][1].path.parent} until the next command stores it" if kept else "it is lost"
        try:
            await _in_thread(lambda: self._save(runs), _HURRIED_SAVE_SECONDS if hurry else _SAVE_SECONDS)
        except TimeoutError:
            if kept and hurry:
                log.info("the run is not in the database yet: %s", where)
                return ExitCode.OK
            log.error("the run could not be stored: the database did not answer in time; %s", where)  # noqa: TRY400 - no trace
        except (PerfloopError, OSError) as error:
            log.error("the run could not be stored: %s; %s", error, where)  # noqa: TRY400 - no trace
        else:
            self._saved += map(StoredRun.of, documents)
            return ExitCode.OK
        return ExitCode.NOT_WRITTEN

    async def finish(self) -> ExitCode:
        """Set the baseline that was asked for, when all runs of the session have ended."""
        name = self._keeping.baseline
        if not name or not self._is_on:
            return ExitCode.OK
        usable = [run.run_id for run in self._saved if run.is_usable]
        for run in self._saved:
            if not run.is_usable:
                # The exit code says that already: it is that of the run.
                log.error(
                    "the run %s of %s was %s: it is not made the baseline %s", run.run_id, run.test, run.how, name
                )
            elif not run.passed:
                log.warning("the baseline %s has the run %s of %s, which did not pass", name, run.run_id, run.test)
        if not usable:
            return ExitCode.OK if self._saved else ExitCode.NOT_WRITTEN
        try:
            await _in_thread(lambda: self._set_baseline(name, usable), _SAVE_SECONDS)
        except (PerfloopError, OSError, TimeoutError) as error:
            log.error("the baseline %s was not set: %s", name, error or "no answer in time")  # noqa: TRY400 - no trace
            return ExitCode.NOT_WRITTEN
        return ExitCode.OK

    async def _are_written(self, runs: Sequence[_Run]) -> bool:
        """Write the files of runs for the last time, and return whether that worked."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()

        def write() -> None:
            for document, unsaved in runs:
                if writer is not None:
                    writer.close()
                unsaved.write(unsaved.of_document(document))
            if writer is not None and writer.unsaved not in {unsaved for _, unsaved in runs}:
                writer.unsaved.remove()  # of several runs together: each of them has its own now

        try:
            await _in_thread(write, _WRITE_SECONDS)
        except (OSError, PerfloopError, TimeoutError):
            return False
        return True

    def _open(self) -> RunStore:
        from perfloop_loadgen.store.runs import Retention, open_for_writing

        return open_for_writing(self._keeping.url, Retention(self._keeping.keep_days, self._keeping.keep_runs))

    def _save(self, runs: Sequence[_Run]) -> None:
        from perfloop_loadgen.store.facts import publish

        with closing(self._open()) as store:
            for document, unsaved in runs:
                store.save(document)
                unsaved.remove()
            try:
                for other in bring_in(store, self._key):
                    log.info("stored the run %s as well, which was %s", other.run_id, other.state)
                publish(store)
            except StoreError as error:  # this run is stored; the others are tried again by the next one
                log.warning("%s", error)

    def _set_baseline(self, name: str, run_ids: list[str]) -> None:
        from perfloop_loadgen.store.facts import publish

        with closing(self._open()) as store:
            for baseline in store.set_baseline(name, run_ids):
                log.info("baseline %s of %s: %s", name, baseline.test, ", ".join(baseline.run_ids))
            publish(store)


class FileWriter:
    """Rewrites the file of a run under way."""

    def __init__(self, tester: Tester, unsaved: UnsavedRun, mark: Callable[[Document], Document]) -> None:
        self.unsaved = unsaved
        self._tester = tester
        self._mark = mark
        self._process = identify()
        self._base = b""
        self._due = 0.0
        self._problem = ""
        self._making: asyncio.Task[None] | None = None
        self._writing: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def second(self, elapsed_seconds: float) -> None:
        """Write what is measured so far, if it is time."""
        now = time.monotonic()
        is_busy = self._making is not None or (self._writing is not None and self._writing.is_alive())
        if now >= self._due and not self._problem and not is_busy:
            self._due = now + min(max(FILE_SECONDS, elapsed_seconds / 100), _LONGEST_FILE_SECONDS)
            self._making = asyncio.get_running_loop().create_task(self._make())

    async def _make(self) -> None:
        """Take what is measured, in short steps between which requests are sent, and hand it to a thread."""
        spent = 0.0
        taken: list[bytes] = []
        try:
            base = self._base or self._begin()
            following = steps(self._tester.book)
            while True:
                began = time.perf_counter()
                part = next(following, None)
                spent += time.perf_counter() - began
                if part is None:
                    break
                taken.append(part)
                await asyncio.sleep(0)
            self._due = max(self._due, time.monotonic() + spent / _FILE_SHARE)
            # A daemon: no disk that hangs keeps the program from ending.
            self._writing = threading.Thread(target=self._write, args=(base, taken), name="unsaved run", daemon=True)
            self._writing.start()
        except Exception as error:  # noqa: BLE001 - without descriptors, threads or memory: the run itself goes on
            self._give_up(error)
        finally:
            self._making = None

    def stop(self) -> None:
        """Begin no other file; called on the event loop."""
        self._problem = self._problem or "the run has ended"
        if self._making is not None:
            self._making.cancel()

    def close(self) -> None:
        """Write no more: the run has ended, and its last file is not replaced by one of before."""
        with self._lock:
            self._is_closed = True

    def _begin(self) -> bytes:
        """Return the run's document of its beginning, with everything but the measurements."""
        document = self._mark(self._tester.document(self._tester.summary()))
        started = iso_time(time.time() - self._tester.book.elapsed_seconds)
        self._base = to_compact_json(replace(document, started_at=started, histograms={}, distribution=[], timeline=[]))
        return self._base

    def _write(self, base: bytes, taken: list[bytes]) -> None:
        try:
            with self._lock:
                if not self._is_closed:
                    self.unsaved.write(self.unsaved.of_snapshot(base, taken, self._process))
        except (OSError, PerfloopError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        # Once: the run goes on, and its end is stored all the same, or said to be not.
        self._problem = str(error) or type(error).__name__
        log.warning("what is measured is not kept while the run lasts: %s", self._problem)


async def _in_thread(work: Callable[[], T], seconds: float) -> T:
    """Return what work gives, from a thread that nobody waits for longer than that, also not at the program's end.

    Raises:
        TimeoutError: it has not ended in time.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not result.done():
            set_it()

    def run() -> None:
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
            with suppress(RuntimeError):  # the loop has not waited for it
                loop.call_soon_threadsafe(settle, lambda: result.set_exception(failure))
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, lambda: result.set_result(value))

    threading.Thread(target=run, name="store", daemon=True).start()
    return await asyncio.wait_for(result, seconds)
