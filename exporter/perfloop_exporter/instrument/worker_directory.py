"""The directory that a server's worker processes share; uvicorn, gunicorn and hypercorn need no setting for it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import psutil

log = logging.getLogger("perfloop")

VARIABLE = "PERFLOOP_WORKERS_DIR"


def shared_directory() -> Path | None:
    """Return the directory that this process shares with its siblings; None where there is none.

    PERFLOOP_WORKERS_DIR sets it; otherwise it is derived from the parent process.
    """
    given = os.environ.get(VARIABLE)
    try:
        if given:
            directory = Path(given)
            directory.mkdir(parents=True, exist_ok=True)
            return directory
        return _directory_of_parent() if is_worker() else None
    except (OSError, psutil.Error) as error:
        log.warning("Workers cannot share their metrics, each exports only its own: %s", error)
        return None


def is_one_of_several() -> bool:
    """Return whether this process may have siblings."""
    return VARIABLE in os.environ or is_worker()


def is_worker() -> bool:
    """Return whether a server started this process as one of its workers."""
    return multiprocessing.parent_process() is not None or "gunicorn.arbiter" in sys.modules


def _directory_of_parent() -> Path:
    base = Path(os.environ.get("PERFLOOP_HOME") or tempfile.gettempdir()) / f"perfloop-workers-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whoever can write here can forge metrics: a directory that another user has created is refused.
    found = base.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{base} belongs to another user")
    namespace = _namespace()
    _sweep(base, namespace)
    directory = base / f"{namespace}-{_identity(os.getppid())}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def _namespace() -> str:
    """Return the id of the PID namespace: containers that share the directory may have the same process ids."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "0"


def _identity(pid: int) -> str:
    """Return a process's id and start time: the id alone may be reused by a later process."""
    try:
        # In ticks since boot, which do not change when the clock is set.
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        start = f"{psutil.Process(pid).create_time():.0f}"
    return f"{pid}-{start}"


def _sweep(base: Path, namespace: str) -> None:
    """Remove the directories of servers that have ended."""
    for directory in base.glob(f"{namespace}-*"):
        identity = directory.name.removeprefix(f"{namespace}-")
        try:
            gone = _identity(int(identity.partition("-")[0])) != identity
        except psutil.NoSuchProcess:
            gone = True
        except (OSError, ValueError, psutil.Error):
            continue
        if gone:
            shutil.rmtree(directory, ignore_errors=True)
