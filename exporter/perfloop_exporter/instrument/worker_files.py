"""The files of a server's workers: who is alive, what the others have counted, and moving that to the archive.

Each worker has `<id>.alive`, on which it holds a lock as long as it lives, and `<id>.json` with its metrics; no id is
ever used twice. A worker that has ended is reaped: its counters go into `archive.json` together with its id, in one
replacement of that file, and only then its files are removed. Whoever is killed in between leaves files whose id the
archive names: they are removed, and not counted again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, NamedTuple

from perfloop_base.state import set_aside
from perfloop_exporter.instrument import shards
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.registry import MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where no such server runs
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None

log = logging.getLogger("perfloop")

LOCK_SECONDS = 2.0
"""How long to wait for the directory's lock: a worker that is stopped may hold it for ever."""

ARCHIVE = "archive.json"
# Damaged files that are kept for a look; older ones go, since the disk is not theirs.
KEPT_ASIDE = 5
# The workers have applied the caps already; merging must not fold what they have admitted.
UNLIMITED = Limits(label_values=10**9, series=10**9)
_ASIDE = re.compile(r".*\.corrupt-(\d{8}T\d{6}Z)(?:-\d+)?")
_ATTEMPTS = 5


class Read(NamedTuple):
    """What all files together hold.

    Attributes:
        registry: The metrics of all workers, dead and alive.
        living: The ids of the others that are alive.
    """

    registry: MetricRegistry
    living: list[str]


def pid_of(identity: str) -> int:
    """Return the process id in a worker's id."""
    return int(identity.partition("-")[0])


def take_lock(path: Path) -> IO[str] | None:
    """Return the lock of a file, which the kernel releases when the process ends; None while another process has it.

    Raises:
        OSError: The file cannot be used.
    """
    file = _open_lock(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class WorkerFiles:
    """The shared directory, as seen by one of the workers.

    Args:
        directory: Where the files are.
        own: The id of this worker, whose metrics are not read from its file.
        forget: Called with the process id of each worker that is reaped.
    """

    def __init__(self, directory: Path, own: str, forget: Callable[[int], None]) -> None:
        self.directory = directory
        self.own = own
        self.shard = directory / f"{own}.json"
        self._forget = forget
        self._said: set[str] = set()

    def enter(self) -> IO[str]:
        """Return this worker's lock, which the kernel releases when the process ends.

        Raises:
            OSError: The directory cannot be used.
        """
        with self.locked():
            self.reap()
            alive = (self.directory / f"{self.own}.alive").open("w")
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return alive

    def touch(self) -> None:
        """Update the times of files that are not rewritten: cleaners of /tmp remove old files."""
        for path in (self.directory / f"{self.own}.alive", self.directory / ARCHIVE):
            with contextlib.suppress(OSError):
                os.utime(path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the directory.

        Raises:
            TimeoutError: Another worker holds it for too long.
            OSError: The directory cannot be used.
        """
        with _open_lock(self.directory / "lock") as lock:
            end = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise TimeoutError(f"{self.directory / 'lock'} is held by another worker") from None
                    time.sleep(0.005)
            yield

    def read(self, own: list[shards.Entry]) -> Read:
        """Return the metrics of all workers, after moving those of ended ones to the archive.

        Args:
            own: The metrics of this one.

        Raises:
            OSError: The directory cannot be read.
        """
        try:
            with self.locked():
                self.reap()
                return self._read(own)
        except TimeoutError as error:
            self._say("lock", "The workers' metrics are read without moving those of ended ones", error)
        for _ in range(_ATTEMPTS - 1):
            # Without the lock: a file that has moved into the archive meanwhile must not be missed.
            before = _stamp(self.directory / ARCHIVE)
            found = self._read(own)
            if _stamp(self.directory / ARCHIVE) == before:
                return found
        return self._read(own)

    def _read(self, own: list[shards.Entry]) -> Read:
        registry = MetricRegistry(UNLIMITED)
        shards.add(registry, own)
        archive = self._read_archive()
        dead = self._dead()
        paths = [path for path in self.directory.glob("*.json") if path.name != ARCHIVE and path != self.shard]
        living = []
        for path in paths:
            identity = path.stem
            if identity not in archive.sources:
                shards.add(registry, self._entries(path), additive_only=identity in dead)
            if identity not in dead and path.exists():
                living.append(identity)
        shards.add(registry, archive.entries)
        return Read(registry, living)

    # -- reaping, with the lock held

    def reap(self) -> None:
        """Move the counters of ended workers to the archive, once each; a failure leaves them for the next time."""
        dead = self._dead()
        if not dead:
            return
        try:
            for path in self.directory.glob("archive.*.new"):  # whoever wrote it was killed: the lock is ours
                path.unlink(missing_ok=True)
            archive = self._read_archive()
            fresh = dead - archive.sources
            if fresh:
                self._archive(archive, fresh, dead)
            for identity in dead:
                self._remove(identity)
        except OSError as error:
            self._say("reap", "The metrics of ended workers stay in their own files", error)
        else:
            self._said.discard("reap")

    def _archive(self, archive: shards.Archive, fresh: set[str], dead: set[str]) -> None:
        merged = MetricRegistry(UNLIMITED)
        shards.add(merged, archive.entries)
        for identity in fresh:
            shards.add(merged, self._entries(self.directory / f"{identity}.json"), additive_only=True)
        merged.counter("perfloop_workers_reaped_total", "Worker processes that have ended.").labels().inc(len(fresh))
        # Ids whose files are gone need not be named any more.
        sources = fresh | (archive.sources & dead)
        shards.write_whole(self.directory / ARCHIVE, shards.dump_archive(merged.families(), sources))

    def _remove(self, identity: str) -> None:
        for path in self.directory.glob(f"{identity}.*.new"):  # it was killed while it wrote
            path.unlink(missing_ok=True)
        (self.directory / f"{identity}.json").unlink(missing_ok=True)
        self._forget(pid_of(identity))
        # Last: as long as this file is there, the others are looked for.
        (self.directory / f"{identity}.alive").unlink(missing_ok=True)

    def _dead(self) -> set[str]:
        return {path.stem for path in self.directory.glob("*.alive") if path.stem != self.own and _is_unlocked(path)}

    # -- files that may be damaged

    def _read_archive(self) -> shards.Archive:
        path = self.directory / ARCHIVE
        try:
            return shards.parse_archive(shards.read_text(path))
        except FileNotFoundError:
            return shards.EMPTY
        except shards.DamagedShardError as error:
            self._set_aside(path, error)
            return shards.EMPTY

    def _entries(self, path: Path) -> list[shards.Entry]:
        try:
            return shards.parse(shards.read_text(path))
        except FileNotFoundError:
            return []
        except shards.DamagedShardError as error:
            self._set_aside(path, error)
        except OSError as error:
            self._say(path.name, f"A worker's metrics in {path} are left out of this scrape", error)
        return []

    def _set_aside(self, path: Path, why: Exception) -> None:
        try:
            moved = set_aside(path, datetime.now(UTC))
        except OSError as error:
            self._say(path.name, f"A worker's metrics in {path} are left out of this scrape ({why}), it stays", error)
            return
        log.error("A worker's metrics in %s are left out of this scrape (%s): moved to %s", path, why, moved.name)
        for old in self._aside()[:-KEPT_ASIDE]:
            with contextlib.suppress(OSError):
                old.unlink()

    def _aside(self) -> list[Path]:
        return sorted(self.directory.glob("*.corrupt-*"), key=lambda path: path.name.rpartition(".corrupt-")[2])

    def set_aside_seconds(self) -> float:
        """Return when a file was last found damaged and moved aside, in unix time; 0 for never."""
        found = [match[1] for path in self._aside() if (match := _ASIDE.fullmatch(path.name))]
        if not found:
            return 0.0
        return datetime.strptime(max(found), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()

    def _say(self, key: str, what: str, error: Exception) -> None:
        if key not in self._said:
            self._said.add(key)
            log.warning("%s (said once): %s", what, error)


def _open_lock(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError:
        return path.open("r")  # the directory can only be read: so can the lock


def _is_unlocked(path: Path) -> bool:
    try:
        with path.open("r") as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except (BlockingIOError, FileNotFoundError):
        return False


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
