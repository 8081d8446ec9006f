"""What a run leaves on disk for the commands that follow: the lock, what runs, and each component's restarts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from perfloop.stack.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Watched:
    """A component as `perfloop status` needs to know it."""

    name: str
    url: str
    health_url: str


@dataclass(frozen=True, slots=True)
class Running:
    """What `perfloop up` brought up."""

    mode: str
    demo: bool
    components: tuple[Watched, ...]


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def save_running(home: Path, running: Running) -> None:
    """Record what was brought up."""
    _write(home / "run" / "stack.json", asdict(running))


def load_running(home: Path) -> Running | None:
    """Return what was brought up, or None when nothing was."""
    found = _read(home / "run" / "stack.json")
    if found is None or "components" not in found:  # nothing, or a record of an earlier version
        return None
    return Running(found["mode"], found["demo"], tuple(Watched(**component) for component in found["components"]))


def forget_running(home: Path) -> None:
    """Remove the record of what was brought up and of the restarts."""
    for name in ("stack.json", "loaded.json", "restarts.json", "pids.json", "stopping"):
        (home / "run" / name).unlink(missing_ok=True)


def save_loaded(home: Path, digests: dict[str, str]) -> None:
    """Record a hash of the configuration that each component has read."""
    _write(home / "run" / "loaded.json", digests)


def load_loaded(home: Path) -> dict[str, str]:
    """Return a hash of the configuration that each component has read."""
    return dict(_read(home / "run" / "loaded.json") or {})


def save_restart(home: Path, name: str, why: str) -> int:
    """Count one restart of `name` and return how many there were."""
    path = home / "run" / "restarts.json"
    counts = _read(path) or {}
    entry = counts.get(name, {"count": 0})
    counts[name] = {"count": entry["count"] + 1, "why": why}
    _write(path, counts)
    return int(counts[name]["count"])


def load_restarts(home: Path) -> dict[str, int]:
    """Return how often each component came back since `perfloop up`."""
    return {name: entry["count"] for name, entry in (_read(home / "run" / "restarts.json") or {}).items()}


def mark_stopping(home: Path) -> None:
    """Record that supervisord is meant to end, so that the guardian does not start it again."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    (home / "run" / "stopping").touch()


def is_stopping(home: Path) -> bool:
    """Return whether `perfloop down` is at work."""
    return (home / "run" / "stopping").exists()


def save_pids(home: Path, pids: dict[str, tuple[int, float]]) -> None:
    """Record each component's process id and start (Unix seconds), for the day that supervisord itself is killed."""
    _write(home / "run" / "pids.json", pids)


def load_pids(home: Path) -> dict[str, tuple[int, float]]:
    """Return the recorded process ids and starts."""
    found = _read(home / "run" / "pids.json") or {}
    return {name: (pid, created) for name, (pid, created) in found.items()}


@contextlib.contextmanager
def exclusive(home: Path, names: Iterable[str] = ("perfloop up",)) -> Iterator[None]:
    """Hold the lock of this stack.

    Raises:
        BusyError: naming the command that holds it.
    """
    (home / "run").mkdir(parents=True, exist_ok=True)
    with (home / "run" / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another command"
            raise BusyError(f"{holder} is running in {home}: wait until it has ended") from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"`{' '.join(names)}` (pid {os.getpid()})")
        lock.flush()
        try:
            yield
        finally:
            lock.seek(0)
            lock.truncate()
