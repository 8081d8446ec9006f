"""Where the workers of one server meet: found without a setting under uvicorn, gunicorn and hypercorn."""

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


def shared_folder() -> Path | None:
    """The folder that this process shares with its siblings; None where it has none."""
    given = os.environ.get(VARIABLE)
    try:
        if given:
            folder = Path(given)
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        return _folder_of_parent() if is_worker() else None
    except (OSError, psutil.Error) as error:
        log.warning("Workers cannot share their metrics, so each answers for itself alone: %s", error)
        return None


def is_one_of_several() -> bool:
    """Whether this process has siblings to share with."""
    return VARIABLE in os.environ or is_worker()


def is_worker() -> bool:
    """Whether a server started this process as one of its workers."""
    return multiprocessing.parent_process() is not None or "gunicorn.arbiter" in sys.modules


def _folder_of_parent() -> Path:
    base = Path(os.environ.get("PERFLOOP_HOME") or tempfile.gettempdir()) / f"perfloop-workers-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Who can write here can make up our numbers: a folder that another user put in place is not taken.
    found = base.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{base} belongs to another user")
    namespace = _namespace()
    _sweep(base, namespace)
    folder = base / f"{namespace}-{_identity(os.getppid())}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _namespace() -> str:
    """What tells process 1 of one container from process 1 of another, should they share the folder."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "0"


def _identity(pid: int) -> str:
    """The process's id with its start, which tells it from a later one with the same id."""
    try:
        # Ticks since boot: unlike a time of day they stay what they are when the clock is set.
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        start = f"{psutil.Process(pid).create_time():.0f}"
    return f"{pid}-{start}"


def _sweep(base: Path, namespace: str) -> None:
    """Remove what servers that are gone have left."""
    for folder in base.glob(f"{namespace}-*"):
        identity = folder.name.removeprefix(f"{namespace}-")
        try:
            gone = _identity(int(identity.partition("-")[0])) != identity
        except psutil.NoSuchProcess:
            gone = True
        except (OSError, ValueError, psutil.Error):
            continue
        if gone:
            shutil.rmtree(folder, ignore_errors=True)
