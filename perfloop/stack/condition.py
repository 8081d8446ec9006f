"""What is wrong with a native stack as a whole, beside the health of its components."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from perfloop.stack import disk, records
from perfloop.stack.strays import GUARDIAN
from perfloop_base.processes import identify, is_alive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UNSUPERVISED = "UNSUPERVISED"  # a component's state while it runs and no supervisord looks after it
_PULSE = "guardian.json"
_PULSE_SECONDS = 45.0
_PULSE_BYTES = 128
_WATCHING = {"STARTING", "RUNNING"}


def save_pulse(home: Path) -> None:
    """Record that the guardian works at this moment, in a count that no set clock moves."""
    text = json.dumps({"process": identify(), "monotonic_seconds": time.monotonic()})
    # In its place and always as long: a full disk takes no new file, but what is there may be written over.
    file = os.open(home / "run" / _PULSE, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(file, text.ljust(_PULSE_BYTES).encode(), 0)
    finally:
        os.close(file)


def _pulse_age(home: Path) -> float | None:
    """Return how many seconds ago a guardian that still runs has last worked; None when nothing is known of it."""
    try:
        found = json.loads((home / "run" / _PULSE).read_text(encoding="utf-8"))
        return time.monotonic() - float(found["monotonic_seconds"]) if is_alive(str(found["process"])) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_troubles(home: Path, processes: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """Return one sentence for each trouble.

    Args:
        home: the directory of the stack.
        processes: what supervisord says of its programs; None when it does not answer.
    """
    troubles = []
    full = disk.find_trouble(home)
    if full:
        troubles.append(full)
    if processes is None:
        what = "is being stopped" if records.is_stopping(home) else "does not answer"
        troubles.append(
            f"the supervisord of {home} {what}: what still runs is not looked after; `perfloop up` replaces it"
        )
        return troubles
    age = _pulse_age(home)
    if processes.get(GUARDIAN, {}).get("statename") not in _WATCHING:
        troubles.append("the guardian does not run: a component that hangs is not restarted")
    elif age is not None and age > _PULSE_SECONDS:
        troubles.append(f"the guardian hangs (for {age:.0f} s): a component that hangs is not restarted")
    return troubles
