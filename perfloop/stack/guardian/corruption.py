"""Data that a component cannot read: recognised by the last words of the component, and moved aside.

Prometheus repairs its write-ahead log and skips a broken block by itself, but refuses to start with a broken head
chunk; Alertmanager refuses a notification log or silences that are cut short, and does not say which. Left alone, each
would be started again for ever. Only a start is judged: the program ended by itself, before it said that its data was
read. What it wrote while it ran, of receivers that fail for example, says nothing about its data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.state import set_aside

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_ENDED_BY_ITSELF = "exit status "
MOVED = "could not be read, was moved to"  # what the guardian writes into the component's log
# Troubles that new data would not cure: no space, no rights, another process, an address, a configuration.
_OTHER_CAUSES = re.compile(
    r"no space left|permission denied|read-only file system|too many open files|resource temporarily unavailable|"
    r"lock DB directory|address already in use|bind:|config|flag|i/o timeout|quota exceeded",
    re.IGNORECASE,
)
_ERROR_LINE = re.compile(r"\blevel=error\b|\blvl=eror\b|\bpanic:|\bfatal\b|^Error:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class State:
    """One piece of a component's data: its name, where it is below the home, and what its program writes about it.

    Attributes:
        component: the component.
        name: what people call the data.
        path: where it is below the home.
        start: what the program writes first.
        accepted: what it writes once it has read its data.
        refusal: what an error line about the data has in it.
    """

    component: str
    name: str
    path: str
    start: re.Pattern[str]
    accepted: re.Pattern[str]
    refusal: re.Pattern[str]


_TSDB = (
    re.compile(r"Starting Prometheus", re.IGNORECASE),
    re.compile(r"TSDB started|Server is ready", re.IGNORECASE),
    re.compile(r"opening storage failed|active query log|open(ing)? tsdb", re.IGNORECASE),
)
_SNAPSHOT = (
    re.compile(r"Starting Alertmanager", re.IGNORECASE),
    re.compile(r"Loading configuration|Listening on", re.IGNORECASE),
    re.compile(r"err(or)?=", re.IGNORECASE),
)
_SQLITE = (
    re.compile(r"Starting Grafana", re.IGNORECASE),
    re.compile(r"HTTP Server Listen", re.IGNORECASE),
    re.compile(r"database disk image is malformed|file is not a database|file is encrypted", re.IGNORECASE),
)
# In the order in which a program reads them: what it refuses first is moved first.
STATES = (
    *(State(name, "data", name, *_TSDB) for name in ("prometheus", "prometheus_2")),
    *(
        State(name, what, f"{name}/{file}", *_SNAPSHOT)
        for name in ("alertmanager", "alertmanager_2")
        for what, file in (("notification log", "nflog"), ("silences", "silences"))
    ),
    State("grafana", "database", "grafana/grafana.db", *_SQLITE),
)


def _refuses(state: State, log: str) -> bool:
    _, moved, since = log.rpartition(MOVED)
    if moved and not state.start.search(since):
        return False  # a start from before the last move, whose end was heard of late: it refused what is gone already
    log = since
    last = state.start.split(log)[-1] if state.start.search(log) else log
    wrong = [line for line in last.splitlines() if _ERROR_LINE.search(line) and " perfloop: " not in line]
    if state.accepted.search(last) or any(map(_OTHER_CAUSES.search, wrong)):
        return False
    return any(map(state.refusal.search, wrong))


def find_refused(component: str, log: str, reason: str) -> list[State]:
    """Return which data a component's last start refused, in the order in which it reads them; pure.

    Args:
        component: its name.
        log: the end of its log, up to its end.
        reason: why it ended, as supervisord says it.
    """
    if not reason.startswith(_ENDED_BY_ITSELF):
        return []
    return [state for state in STATES if state.component == component and _refuses(state, log)]


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
    needed = {name: f"{name}/wal" for name in ("prometheus", "prometheus_2")}
    needed |= {name: name for name in ("alertmanager", "alertmanager_2")}
    return [name for name, path in needed.items() if name in running and not (home / path).is_dir()]
