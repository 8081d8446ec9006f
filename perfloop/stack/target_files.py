"""The files by which load tests announce themselves to Prometheus: those of processes that are gone are removed.

A load test writes `targets/loadgen-PORT.json` when it starts and removes it at its end. One that is killed removes
nothing, and its target would stay down for ever. The file names its process in a label that Prometheus drops.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING

from perfloop_base.processes import is_alive

if TYPE_CHECKING:
    from pathlib import Path

PROCESS_LABEL = "__meta_perfloop_process"
_PATTERN = "loadgen-*.json"
_PARTIAL = "loadgen-*.partial"
_PARTIAL_SECONDS = 60.0
_CONNECT_SECONDS = 0.5


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def is_stale(text: str) -> bool:
    """Return whether what such a file holds is of a process that is gone.

    One that names no process, of an earlier version or damaged, is judged by whether its address still answers.
    """
    try:
        (group,) = json.loads(text)
        identity, addresses = group.get("labels", {}).get(PROCESS_LABEL), [str(one) for one in group["targets"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True
    return not is_alive(str(identity)) if identity else not any(map(_listens, addresses))


def remove_stale(home: Path) -> list[str]:
    """Remove the target files of load tests that are gone and return their names; other files are left alone."""
    removed = []
    for path in sorted((home / "targets").glob(_PATTERN)):
        with contextlib.suppress(OSError):
            if is_stale(path.read_text(encoding="utf-8", errors="replace")):
                path.unlink()
                removed.append(path.name)
    for path in (home / "targets").glob(_PARTIAL):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _PARTIAL_SECONDS:
                path.unlink()
    return removed
