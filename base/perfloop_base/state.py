"""State that a program keeps on disk: a corrupt one is moved aside, never deleted, and every program says so alike.

    try:
        runs = read(path)
    except CorruptError:
        log.error("moved aside to %s", health.set_aside("runs", path, now))
        runs = []

`StateHealth` is a collector of prometheus_client; the alerts StateSetAside and StateNotWritable watch what it shows.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SET_ASIDE = "perfloop_state_set_aside_timestamp_seconds"
SET_ASIDE_HELP = "When this state was last found corrupt, moved aside and replaced by a new one; 0 before."
WRITABLE = "perfloop_state_writable"
WRITABLE_HELP = "Whether this state could be written the last time (1) or not (0)."
# What SQLite keeps beside a database; a new database must not find them, and a repair needs them.
_COMPANIONS = ("-wal", "-shm", "-journal")


def set_aside(path: Path, now: datetime) -> Path:
    """Move a file or directory that cannot be used to `<name>.corrupt-<time in UTC>` and return where it is now.

    The companions of an SQLite database go with it. Where that name is taken, a number follows.

    Raises:
        OSError: it cannot be moved.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.name}.corrupt-{moment}")
    number = 1
    while target.exists() or target.is_symlink():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{moment}-{number}")
    path.rename(target)
    for ending in _COMPANIONS:
        companion = path.with_name(f"{path.name}{ending}")
        if companion.exists():
            companion.rename(target.with_name(f"{target.name}{ending}"))
    return target


class StateFacts(NamedTuple):
    """What is known of one state: Unix seconds when it was last moved aside (0: never), and whether it takes writes."""

    state: str
    set_aside_seconds: float = 0.0
    writable: bool = True


class StateHealth:
    """What is known of each state that a program keeps; safe to use from several threads."""

    def __init__(self, states: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._facts = {state: StateFacts(state) for state in states}

    def set_aside(self, state: str, path: Path, now: datetime) -> Path:
        """Move the state's corrupt file aside, remember when, and return where it is now.

        Raises:
            OSError: it cannot be moved.
        """
        moved = set_aside(path, now)
        self.note_set_aside(state, now.timestamp())
        return moved

    def note_set_aside(self, state: str, at_seconds: float) -> None:
        """Remember that a state was moved aside at a Unix time."""
        with self._lock:
            self._facts[state] = self._of(state)._replace(set_aside_seconds=at_seconds)

    def note_write(self, state: str, *, worked: bool) -> bool:
        """Remember whether a write worked, and return whether that is news: worth one line in the log."""
        with self._lock:
            before = self._of(state)
            self._facts[state] = before._replace(writable=worked)
            return before.writable is not worked

    def facts(self) -> list[StateFacts]:
        """Return what is known of every state, by name."""
        with self._lock:
            return sorted(self._facts.values())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the two metrics, as a registry of prometheus_client asks for them."""
        aside = GaugeMetricFamily(SET_ASIDE, SET_ASIDE_HELP, labels=("state",))
        writable = GaugeMetricFamily(WRITABLE, WRITABLE_HELP, labels=("state",))
        for fact in self.facts():
            aside.add_metric((fact.state,), fact.set_aside_seconds)
            writable.add_metric((fact.state,), float(fact.writable))
        yield aside
        yield writable

    def _of(self, state: str) -> StateFacts:
        return self._facts.get(state) or StateFacts(state)
