"""Where the workers of one server meet: found without a setting under uvicorn, gunicorn and hypercorn."""

from __future__ import annotations

import contextlib
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
    _sweep(base)
    folder = base / _identity(os.getppid())
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _identity(pid: int) -> str:
    # The start time tells a process from a later one with the same id.
    return f"{pid}-{psutil.Process(pid).create_time():.0f}"


def _sweep(base: Path) -> None:
    """Remove what servers that are gone have left."""
    for folder in base.iterdir():
        pid = folder.name.partition("-")[0]
        with contextlib.suppress(OSError, psutil.Error):
            if pid.isdigit() and (not psutil.pid_exists(int(pid)) or _identity(int(pid)) != folder.name):
                shutil.rmtree(folder, ignore_errors=True)
