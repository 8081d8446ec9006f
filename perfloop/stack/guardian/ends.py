"""Why a component ended, and how often.

The reason is read from supervisord's log: an event says whether the end was expected, but neither the exit status nor
the signal, and wait(2) answers the parent alone. Only the line `exited: NAME (REASON)` has it.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LOG_TAIL_BYTES = 64 * 1024
_REASON_WAIT_SECONDS = 0.5
WINDOW_SECONDS = 300.0
MANY = 4


def read_tail(path: Path, size: int = _LOG_TAIL_BYTES) -> str:
    """Return the end of a log, or nothing where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def find_reason(log: str, name: str) -> str | None:
    """Return what supervisord's log last said of the end of `name`: `terminated by SIGKILL; not expected`."""
    found = re.findall(rf"exited: {re.escape(name)} \(([^\n]*)\)", log)
    return found[-1] if found else None


def read_reason(home: Path, name: str) -> str:
    """Read the reason from supervisord's log, which is written just after the event is sent."""
    deadline = time.monotonic() + _REASON_WAIT_SECONDS
    while True:
        reason = find_reason(read_tail(home / "logs" / "supervisord.log"), name)
        if reason:
            return reason
        if time.monotonic() > deadline:
            return "no reason was given"
        time.sleep(0.05)


def write_into_log(home: Path, name: str, line: str) -> None:
    """Append a line to a component's log; on a full disk it is left out."""
    with contextlib.suppress(OSError), (home / "logs" / f"{name}.log").open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


class Ends:
    """When each component ended, in seconds of a monotonic clock, as far back as the window reaches. Pure."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def note(self, name: str, now: float) -> None:
        """Take in one end."""
        self._times[name] = [*self._recent(name, now), now]

    def count(self, name: str, now: float) -> int:
        """Return how often a component ended within the window."""
        return len(self._recent(name, now))

    def last(self, name: str, now: float) -> float | None:
        """Return how many seconds ago a component last ended, or None if not within the window."""
        recent = self._recent(name, now)
        return now - recent[-1] if recent else None

    def _recent(self, name: str, now: float) -> list[float]:
        return [moment for moment in self._times.get(name, []) if now - moment <= WINDOW_SECONDS]
