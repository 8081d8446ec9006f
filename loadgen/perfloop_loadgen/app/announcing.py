"""The target file of a run, by which the stack's Prometheus finds its metrics page.

A run that is killed cannot remove its file. The file names the process, so that the stack and every later run can.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from perfloop_base.home import find_home
from perfloop_base.processes import identify, is_alive

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

# A label of this beginning is dropped by Prometheus once it has found the target.
PROCESS_LABEL = "__meta_perfloop_process"
# To write a file takes a moment: a partial one of this age was left by a process that was killed.
_PARTIAL_SECONDS = 60.0


def announce(address: str, scheme: str = "http") -> Path | None:
    """Write a target file where the stack keeps them, and return its path; None without a stack."""
    directory = find_home() / "targets"
    if not directory.is_dir():
        return None
    remove_dead(directory)
    port = address.rpartition(":")[2]
    path = directory / f"loadgen-{port}.json"
    partial = directory / f"loadgen-{port}.{os.getpid()}.partial"
    labels = {"service": "loadgen"} | ({"__scheme__": scheme} if scheme != "http" else {})
    try:
        labels[PROCESS_LABEL] = identify()
        partial.write_text(json.dumps([{"targets": [address], "labels": labels}]), encoding="utf-8")
        partial.rename(path)
    except (OSError, psutil.Error) as error:
        with suppress(OSError):
            partial.unlink()
        reason = getattr(error, "strerror", None) or error
        log.warning("%s: cannot be written, so Prometheus will not scrape this run: %s", directory, reason)
        return None
    return path


def withdraw(path: Path | None) -> None:
    """Remove a target file."""
    if path is None:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: cannot be removed, so Prometheus will go on looking for this run: %s", path, error.strerror)


def remove_dead(directory: Path) -> None:
    """Remove the target files of load tests whose process has ended; those that name no process are the stack's."""
    for path in directory.glob("loadgen-*.json"):
        identity = _process_of(path)
        if identity and not is_alive(identity):
            with suppress(OSError):
                path.unlink()
    # File systems stamp files with the time of day.
    oldest = time.time() - _PARTIAL_SECONDS
    for path in directory.glob("loadgen-*.partial"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _process_of(path: Path) -> str:
    """Return the identity that a target file names, or nothing."""
    try:
        [group] = json.loads(path.read_text(encoding="utf-8"))
        return str(group["labels"][PROCESS_LABEL])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
