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
import secrets
import threading
import time
from functools import partial
from multiprocessing import util
from typing import IO, TYPE_CHECKING

import psutil

from perfloop_base.state import SET_ASIDE, SET_ASIDE_HELP, WRITABLE, WRITABLE_HELP
from perfloop_exporter.instrument import shards
from perfloop_exporter.instrument.worker_directory import is_one_of_several, shared_directory
from perfloop_exporter.instrument.worker_files import HAS_LOCKS, WorkerFiles, pid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from perfloop_exporter.metrics.families import AnyFamily
    from perfloop_exporter.metrics.registry import MetricRegistry

log = logging.getLogger("perfloop")

WRITE_SECONDS = 1.0
"""How old a worker's metrics can be in a scrape that another worker serves."""

ENTER_SECONDS = 10.0
"""How long a scrape waits until its worker has joined the others."""

# A write that takes t seconds is followed by a pause of 50 t: at most 2% of one core, however many series there are.
_PAUSE_FACTOR = 50
_PID = ("pid",)
_STATE = ("state",)
_WORKERS = "workers"


def _nothing() -> None:
    """Do nothing."""


class WorkerGroup:
    """This process as one of the workers of its server; a single process does nothing here.

    Attributes:
        joined: Whether it has joined the others, or is alone.
        when_joined: Called in each process that joins, on the thread of its first request; it must not fail.
        several: Whether the server has several workers.
    """

    def __init__(self, registry: MetricRegistry) -> None:
        self.joined = False
        self.when_joined: Callable[[], None] = _nothing
        self.several = False
        self._registry = registry
        self._files: WorkerFiles | None = None
        self._alive: IO[str] | None = None
        self._written = ""
        self._writable = True
        self._said: set[str] = set()
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
            self.several = HAS_LOCKS and is_one_of_several()
            self.when_joined()
            if not self.several:
                return
            entered = threading.Event()
            work = partial(self._run, self._stop, entered)
            try:
                threading.Thread(target=work, name="perfloop-worker", daemon=True).start()
            except RuntimeError as error:
                self.joined = False  # the next request tries again
                self._say("thread", f"Workers do not share their metrics yet: {error}")
                return
            self._entered = entered

    def _run(self, stop: threading.Event, entered: threading.Event) -> None:
        """Join, then write until stopped."""
        try:
            directory = shared_directory()
            if directory is None:
                return
            self._enter(directory)
        except OSError as error:
            self._files = None
            log.warning("Workers cannot share their metrics, each exports only its own: %s", error)
            self._note_writable(self._registry, worked=False)
            return
        finally:
            entered.set()
        pause = 0.0
        while not stop.wait(pause):
            started = time.perf_counter()
            try:
                self.write()
            except Exception:  # noqa: BLE001 - the thread must go on, whatever an application has recorded
                self._say("write", "A worker's metrics could not be written, it is tried again", trace=True)
            pause = max(WRITE_SECONDS, _PAUSE_FACTOR * (time.perf_counter() - started))

    def _enter(self, directory: Path) -> None:
        # Never used again, unlike a process id alone.
        files = WorkerFiles(directory, f"{os.getpid()}-{secrets.token_hex(6)}", _forget_client_process)
        self._alive = files.enter()
        self._files = files
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
        self._files = None

    def write(self) -> None:
        """Write this worker's metrics for the others."""
        if self._files is not None:
            self._write(self._registry.families())

    def _write(self, families: list[AnyFamily]) -> str:
        # One write at a time: an older state must never replace a newer one.
        with self._writing:
            text = shards.dump(families)
            files = self._files
            if files is None:
                return text
            files.touch()
            # Another worker may have moved the file aside, if something had damaged it.
            if text != self._written or not files.shard.exists():
                try:
                    shards.write_whole(files.shard, text)
                except OSError as error:
                    self._say("disk", f"The worker's metrics could not be written to {files.shard}: {error}")
                    self._writable = False
                else:
                    self._written, self._writable = text, True
                    self._said.discard("disk")
            return text

    def families(self) -> list[AnyFamily]:
        """Return every family, merged over all workers, including those that have ended."""
        # Before it has joined, a new worker would export only its own counters: every counter would fall.
        self._entered.wait(ENTER_SECONDS)
        own = self._registry.families()
        files = self._files
        if files is None:
            return own
        try:
            merged = self._merge(files, own)
        except Exception as error:  # noqa: BLE001 - a scrape with this worker's metrics is better than none
            self._say("merge", f"The metrics of the other workers are left out of this scrape: {error}")
            return own
        self._said.discard("merge")
        return merged

    def _merge(self, files: WorkerFiles, own: list[AnyFamily]) -> list[AnyFamily]:
        # Written before it is exported: the next scrape, whichever worker serves it, has at least these values.
        merged, living = files.read(shards.parse(self._write(own)))
        _count_processes(merged, [os.getpid(), *map(pid_of, living)])
        merged.gauge(SET_ASIDE, SET_ASIDE_HELP, _STATE).labels(_WORKERS).set(files.set_aside_seconds())
        self._note_writable(merged, worked=self._writable)
        return merged.families()

    def _note_writable(self, registry: MetricRegistry, *, worked: bool) -> None:
        registry.gauge(WRITABLE, WRITABLE_HELP, _STATE).labels(_WORKERS).set(float(worked))

    @property
    def shared(self) -> bool:
        """Whether this process has joined other workers."""
        return self._files is not None

    @property
    def directory(self) -> Path | None:
        """The directory that this process shares with other workers; None of a single process."""
        return None if self._files is None else self._files.directory

    def _say(self, key: str, what: str, *, trace: bool = False) -> None:
        """Log once, until the same works again."""
        if key not in self._said:
            self._said.add(key)
            log.warning("%s", what, exc_info=trace)

    def _reset(self) -> None:
        """Forget the parent's membership, in a forked process."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        if self._alive is not None:
            # Closing the copied descriptor does not release the parent's lock.
            self._alive.close()
        self._files = self._alive = None
        self._written = ""
        self._entered = _entered_event()
        self.joined = False


def _entered_event() -> threading.Event:
    """Return an event that is set: there is nothing to wait for."""
    entered = threading.Event()
    entered.set()
    return entered


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
