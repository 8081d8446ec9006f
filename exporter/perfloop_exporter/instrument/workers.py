"""One `/metrics` for several worker processes: each writes its metrics to a file, and whichever is scraped merges them.

The workers of one server share a directory. Each holds a lock on a file of its own as long as it lives; the kernel
releases it when the process ends, however it ends. A worker whose lock is free has ended: its counters and histograms
are moved to the archive (they must never fall), its gauges and files are removed.
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

import psutil

from perfloop_exporter.instrument import shards
from perfloop_exporter.instrument.worker_directory import is_one_of_several, shared_directory
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.registry import MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfloop_exporter.metrics.families import AnyFamily

try:
    import fcntl
except ImportError:  # not on Windows, where no such server runs
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("perfloop")

WRITE_SECONDS = 1.0
"""How old a worker's metrics can be in a scrape that another worker serves."""

ENTER_SECONDS = 10.0
"""How long a scrape waits until its worker has joined the others."""

# A write that takes t seconds is followed by a pause of 50 t: at most 2% of one core, however many series there are.
_PAUSE_FACTOR = 50
_ARCHIVE = "archive.json"
_PID = ("pid",)
# The workers have applied the caps already; merging must not fold what they have admitted.
_UNLIMITED = Limits(label_values=10**9, series=10**9)


class WorkerGroup:
    """This process as one of the workers of its server; a single process does nothing here."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.joined = False
        self._registry = registry
        self._directory: Path | None = None
        self._alive: IO[str] | None = None
        self._shard: Path | None = None
        self._written = ""
        self._own: _OwnProcess | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._entered = _entered_event()
        registry.after_fork(self._reset)

    def join(self) -> None:
        """Join the other workers in a background thread, if this process is one of several; never blocks."""
        with self._lock:
            if self.joined:
                return
            self.joined = True
            if fcntl is None or not is_one_of_several():
                return
            self._entered = threading.Event()
            work = partial(self._run, self._stop, self._entered)
            threading.Thread(target=work, name="perfloop-worker", daemon=True).start()

    def _run(self, stop: threading.Event, entered: threading.Event) -> None:
        """Join, then write until stopped."""
        try:
            directory = shared_directory()
            if directory is None:
                return
            self._enter(directory)
        except OSError as error:
            self._directory = None
            log.warning("Workers cannot share their metrics, each exports only its own: %s", error)
            return
        finally:
            entered.set()
        pause = 0.0
        while not stop.wait(pause):
            started = time.perf_counter()
            self.write()
            pause = max(WRITE_SECONDS, _PAUSE_FACTOR * (time.perf_counter() - started))

    def _enter(self, directory: Path) -> None:
        with _exclusive(directory):
            # An ended worker may have had this process's id.
            self._reap(directory)
            self._alive = (directory / f"{os.getpid()}.alive").open("w")
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._shard = directory / f"{os.getpid()}.json"
        self._directory = directory
        if self._own is None:
            self._own = _OwnProcess(self._registry)
            self._registry.before_read(self._own.update)
        atexit.register(self.write)
        # A multiprocessing child ends without atexit.
        util.Finalize(self, self.write, exitpriority=10)

    def leave(self) -> None:
        """Write a last time and release the lock: the others treat this worker as ended."""
        self._stop.set()
        self.write()
        alive, self._alive = self._alive, None
        if alive is not None:
            alive.close()
        self._directory = self._shard = None

    def write(self) -> None:
        """Write this worker's metrics for the others."""
        if self._shard is not None:
            self._write(self._registry.families())

    def _write(self, families: list[AnyFamily]) -> str:
        # One write at a time: an older state must never replace a newer one.
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
        """Update the times of files that are not rewritten: cleaners of /tmp remove old files."""
        if self._directory is not None and self._alive is not None:
            for path in (Path(self._alive.name), self._directory / _ARCHIVE):
                with contextlib.suppress(OSError):
                    os.utime(path)

    def families(self) -> list[AnyFamily]:
        """Return every family, merged over all workers, including those that have ended."""
        # Before it has joined, a new worker would export only its own counters: every counter would fall.
        self._entered.wait(ENTER_SECONDS)
        own = self._registry.families()
        directory = self._directory
        if directory is None:
            return own
        try:
            return self._merge(directory, own)
        except OSError as error:
            log.warning("The metrics of the other workers are left out of this scrape: %s", error)
            return own

    def _merge(self, directory: Path, own: list[AnyFamily]) -> list[AnyFamily]:
        merged = MetricRegistry(_UNLIMITED)
        # Written before it is exported: the next scrape, whichever worker serves it, has at least these values.
        shards.absorb(merged, self._write(own))
        with _exclusive(directory):
            self._reap(directory)
            living = [path for path in directory.glob("*.json") if path != self._shard and path.name != _ARCHIVE]
            for path in [*living, directory / _ARCHIVE]:
                _absorb(merged, path)
        _count_processes(merged, [os.getpid(), *(int(path.stem) for path in living)])
        return merged.families()

    @property
    def shared(self) -> bool:
        """Whether this process has joined other workers."""
        return self._directory is not None

    def _reap(self, directory: Path) -> None:
        """Move the counters of ended workers to the archive."""
        dead = [path for path in directory.glob("*.alive") if _is_unlocked(path)]
        if not dead:
            return
        archive = MetricRegistry(_UNLIMITED)
        for path in [directory / _ARCHIVE, *(path.with_suffix(".json") for path in dead)]:
            _absorb(archive, path)
        archive.counter("perfloop_workers_reaped_total", "Worker processes that have ended.").labels().inc(len(dead))
        shards.write_whole(directory / _ARCHIVE, shards.dump(archive.families(), additive_only=True))
        for path in dead:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            _forget_client_process(int(path.stem))

    def _reset(self) -> None:
        """Forget the parent's membership, in a forked process."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        if self._alive is not None:
            # Closing the copied descriptor does not release the parent's lock.
            self._alive.close()
        self._directory = self._alive = self._shard = None
        self._written = ""
        self._entered = _entered_event()
        self.joined = False


def _entered_event() -> threading.Event:
    """Return an event that is set: there is nothing to wait for."""
    entered = threading.Event()
    entered.set()
    return entered


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _absorb(merged: MetricRegistry, path: Path) -> None:
    try:
        shards.absorb(merged, path.read_text())
    except FileNotFoundError:
        return
    except (OSError, UnicodeError, shards.DamagedShardError) as error:
        log.warning("A worker's metrics in %s are left out of this scrape: %s", path, error)


def _is_unlocked(path: Path) -> bool:
    with path.open("r") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class _OwnProcess:
    """This worker's part of `process_*`, under prometheus_client's names: the values are summed over all workers."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._cpu = registry.counter("process_cpu_seconds_total", "CPU time of all worker processes.")
        self._memory = registry.gauge("process_resident_memory_bytes", "Resident memory of all worker processes.")
        self._files = registry.gauge("process_open_fds", "Open file descriptors of all worker processes.")
        self._start = registry.gauge("process_start_time_seconds", "When the newest worker started.", latest=True)

    def update(self) -> None:
        """Set the metrics to the process's state now."""
        process = psutil.Process()
        times = process.cpu_times()
        self._cpu.labels().total = times.user + times.system
        self._memory.labels().set(process.memory_info().rss)
        self._files.labels().set(process.num_fds())
        self._start.labels().set(process.create_time())


def _count_processes(registry: MetricRegistry, pids: Iterable[int]) -> None:
    """Add the number of workers, and CPU time, memory and start of each, to the merged families of a scrape."""
    workers = registry.gauge("perfloop_workers", "Worker processes that are alive.").labels()
    cpu = registry.counter("perfloop_worker_cpu_seconds_total", "CPU time of a worker process.", _PID)
    memory = registry.gauge("perfloop_worker_resident_memory_bytes", "Resident memory of a worker process.", _PID)
    start = registry.gauge("perfloop_worker_start_time_seconds", "When a worker process started.", _PID)
    for pid in pids:
        workers.inc()
        with contextlib.suppress(psutil.Error):  # it has just ended
            process = psutil.Process(pid)
            times = process.cpu_times()
            cpu.labels(str(pid)).inc(times.user + times.system)
            memory.labels(str(pid)).set(process.memory_info().rss)
            start.labels(str(pid)).set(process.create_time())


def _forget_client_process(pid: int) -> None:
    """In prometheus_client's multi-process mode, also remove the live gauges of an ended worker there."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return
    from prometheus_client import multiprocess

    try:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # prometheus_client has no types here
    except OSError as error:
        log.warning("The gauges of the ended worker %d stay in PROMETHEUS_MULTIPROC_DIR: %s", pid, error)
