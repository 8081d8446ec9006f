"""Several worker processes, one `/metrics`: each writes what it counted, whoever is scraped adds them up.

The workers of one server share a folder. Each holds a lock on a file of its own for as long as it lives; the kernel
lets go of it when the process ends, however it ends. A worker whose lock is free is dead: its counters and histograms
move into the archive (they must never fall), its gauges go, and its files with them.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from functools import partial
from multiprocessing import util
from pathlib import Path
from typing import IO, TYPE_CHECKING

from perfloop_exporter.instrument import shards
from perfloop_exporter.instrument.worker_folder import is_one_of_several, shared_folder
from perfloop_exporter.instrument.worker_processes import OwnProcess, count_processes, forget_client_process
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.registry import MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.metrics.families import AnyFamily

try:
    import fcntl
except ImportError:  # not on Windows, where no such server runs
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("perfloop")

WRITE_SECONDS = 1.0
"""How old a worker's numbers can be in another worker's answer."""

ENTER_SECONDS = 10.0
"""How long a scrape waits for its worker to find the others."""

_SHARE = 50
_ARCHIVE = "archive.json"
_UNLIMITED = Limits(label_values=10**9, series=10**9)


class WorkerGroup:
    """This process's place among the workers of its server; alone, it adds nothing."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.joined = False
        self._registry = registry
        self._folder: Path | None = None
        self._alive: IO[str] | None = None
        self._shard: Path | None = None
        self._written = ""
        self._own: OwnProcess | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._entered = _alone()
        registry.after_fork(self._reset)

    def join(self) -> None:
        """Find the other workers, if this process is one of several; nothing here waits for anything."""
        with self._lock:
            if self.joined:
                return
            self.joined = True
            if fcntl is None or not is_one_of_several():
                return
            self._entered = threading.Event()
            work = partial(self._live, self._stop, self._entered)
            threading.Thread(target=work, name="perfloop-worker", daemon=True).start()

    def _live(self, stop: threading.Event, entered: threading.Event) -> None:
        """Enter, then write until told to stop."""
        try:
            folder = shared_folder()
            if folder is None:
                return
            self._enter(folder)
        except OSError as error:
            self._folder = None
            log.warning("Workers cannot share their metrics, so each answers for itself alone: %s", error)
            return
        finally:
            entered.set()
        pause = 0.0
        while not stop.wait(pause):
            started = time.perf_counter()
            self.write()
            # However many series there are, writing takes two hundredths of one core at most.
            pause = max(WRITE_SECONDS, _SHARE * (time.perf_counter() - started))

    def _enter(self, folder: Path) -> None:
        with _exclusive(folder):
            # A dead worker may have had this process's id.
            self._reap(folder)
            self._alive = (folder / f"{os.getpid()}.alive").open("w")
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._shard = folder / f"{os.getpid()}.json"
        self._folder = folder
        if self._own is None:
            self._own = OwnProcess(self._registry)
            self._registry.before_read(self._own.update)
        atexit.register(self.write)
        # A multiprocessing child ends without atexit.
        util.Finalize(self, self.write, exitpriority=10)

    def leave(self) -> None:
        """Write a last time and give up the place: the others count this worker as ended."""
        self._stop.set()
        self.write()
        alive, self._alive = self._alive, None
        if alive is not None:
            alive.close()
        self._folder = self._shard = None

    def write(self) -> None:
        """Put what this worker counted where the others find it."""
        if self._shard is not None:
            self._write(self._registry.families())

    def _write(self, families: list[AnyFamily]) -> str:
        # One at a time: an older state must never replace a newer one.
        with self._writing:
            self._touch()
            text = shards.dump(families)
            if self._shard is not None and text != self._written:
                try:
                    shards.write_whole(self._shard, text)
                    self._written = text
                except OSError as error:
                    log.warning("The worker's metrics could not be written to %s: %s", self._shard, error)
            return text

    def _touch(self) -> None:
        """Keep what is not rewritten from those who clean up old temporary files."""
        if self._folder is not None and self._alive is not None:
            for path in (Path(self._alive.name), self._folder / _ARCHIVE):
                with contextlib.suppress(OSError):
                    os.utime(path)

    def families(self) -> list[AnyFamily]:
        """Every family, with the numbers of all workers, living and dead."""
        # A newborn worker that answered for itself alone would let every counter fall.
        self._entered.wait(ENTER_SECONDS)
        own = self._registry.families()
        folder = self._folder
        if folder is None:
            return own
        try:
            return self._merge(folder, own)
        except OSError as error:
            log.warning("The metrics of the other workers are left out of this scrape: %s", error)
            return own

    def _merge(self, folder: Path, own: list[AnyFamily]) -> list[AnyFamily]:
        merged = MetricRegistry(_UNLIMITED)
        # Written before it is told: the next answer, whoever gives it, has at least these numbers.
        shards.absorb(merged, self._write(own))
        with _exclusive(folder):
            self._reap(folder)
            living = [path for path in folder.glob("*.json") if path != self._shard and path.name != _ARCHIVE]
            for path in [*living, folder / _ARCHIVE]:
                _absorb(merged, path)
        count_processes(merged, [os.getpid(), *(int(path.stem) for path in living)])
        return merged.families()

    @property
    def shared(self) -> bool:
        """Whether this process is one of several."""
        return self._folder is not None

    def _reap(self, folder: Path) -> None:
        """Move the dead into the archive."""
        dead = [path for path in folder.glob("*.alive") if _is_free(path)]
        if not dead:
            return
        archive = MetricRegistry(_UNLIMITED)
        for path in [folder / _ARCHIVE, *(path.with_suffix(".json") for path in dead)]:
            _absorb(archive, path)
        archive.counter("perfloop_workers_reaped_total", "Worker processes found dead.").labels().inc(len(dead))
        shards.write_whole(folder / _ARCHIVE, shards.dump(archive.families(), additive_only=True))
        for path in dead:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            forget_client_process(int(path.stem))

    def _reset(self) -> None:
        """In a forked process: the parent's place is the parent's."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        if self._alive is not None:
            # Closing this copy leaves the parent's lock in place.
            self._alive.close()
        self._folder = self._alive = self._shard = None
        self._written = ""
        self._entered = _alone()
        self.joined = False


def _alone() -> threading.Event:
    """Nothing to wait for, until there is."""
    entered = threading.Event()
    entered.set()
    return entered


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _absorb(merged: MetricRegistry, path: Path) -> None:
    try:
        shards.absorb(merged, path.read_text())
    except FileNotFoundError:
        return
    except (OSError, UnicodeError, shards.DamagedShardError) as error:
        log.warning("A worker's metrics in %s are left out of this scrape: %s", path, error)


def _is_free(path: Path) -> bool:
    with path.open("r") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
