"""Data that a component cannot read: recognised by the last words of the component, and moved aside.

Prometheus repairs its write-ahead log and skips a broken block by itself, but refuses to start with a broken head
chunk; Alertmanager refuses a notification log or silences that are cut short, and does not say which. Left alone, each
would be started again for ever. Only a start is judged: the last lines that the program wrote before it ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.state import set_aside

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_LAST_LINES = 6
# Troubles that new data would not cure: no space, no rights, another process, an address, a configuration.
_OTHER_CAUSES = re.compile(
    r"no space left|permission denied|read-only file system|too many open files|resource temporarily unavailable|"
    r"lock DB directory|address already in use|bind:|config|flag|i/o timeout|quota exceeded",
    re.IGNORECASE,
)
_ERROR_LINE = re.compile(r"\blevel=error\b|\blvl=eror\b|\bpanic:|\bfatal\b|^Error:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class State:
    """One piece of a component's data: its name, where it is below the home, and what its refusal reads like."""

    component: str
    name: str
    path: str
    refusal: re.Pattern[str]


_TSDB = re.compile(r"opening storage failed|active query log|open(ing)? tsdb", re.IGNORECASE)
_ANY_ERROR = re.compile(r"err(or)?=", re.IGNORECASE)
_SQLITE = re.compile(r"database disk image is malformed|file is not a database|file is encrypted", re.IGNORECASE)
# In the order in which a program reads them: what it refuses first is moved first.
STATES = (
    State("prometheus", "data", "prometheus", _TSDB),
    *(
        State(name, what, f"{name}/{file}", _ANY_ERROR)
        for name in ("alertmanager", "alertmanager_2")
        for what, file in (("notification log", "nflog"), ("silences", "silences"))
    ),
    State("grafana", "database", "grafana/grafana.db", _SQLITE),
)


def find_refused(component: str, log: str) -> list[State]:
    """Return which data a component's last words refuse, in the order in which it reads them; pure.

    Args:
        component: its name.
        log: the end of its log, up to its end.
    """
    lines = [line for line in log.splitlines() if " perfloop: " not in line][-_LAST_LINES:]
    wrong = [line for line in lines if _ERROR_LINE.search(line)]
    if not wrong or _OTHER_CAUSES.search("\n".join(wrong)):
        return []
    text = "\n".join(wrong)
    return [state for state in STATES if state.component == component and state.refusal.search(text)]


def move_aside(home: Path, states: list[State], now: datetime) -> tuple[State, Path] | None:
    """Move the first of these that is there aside; return it and where it is now, or None when there is none.

    Raises:
        OSError: it cannot be moved.
    """
    for state in states:
        path = home / state.path
        if path.exists():
            moved = set_aside(path, now)
            if state.component == state.path:  # a directory of the stack's own, made when it starts
                path.mkdir(mode=0o700)
            return state, moved
    return None


def find_wiped(home: Path, running: set[str]) -> list[str]:
    """Return the components that run without the directory of their data: somebody has removed it.

    Prometheus goes on answering then, but stores nothing: its rules and alerts stand still until it is started again.
    """
    needed = {"prometheus": "prometheus/wal", "alertmanager": "alertmanager", "alertmanager_2": "alertmanager_2"}
    return [name for name, path in needed.items() if name in running and not (home / path).is_dir()]
