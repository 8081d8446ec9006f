"""What a run leaves on disk for the commands that follow: the lock, what runs, and each component's restarts.

Whatever is found there may have been cut short by a full disk or written over: what cannot be used counts as absent,
and the guardian writes it again from what it knows.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from perfloop.stack.errors import BusyError
from perfloop.stack.remote_write import STORE
from perfloop_base.processes import identify, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LOCK = "lock"
_STOPPING = "stopping"
_NOTES = "notes.json"
_MOST_NOTES = 20


@dataclass(frozen=True, slots=True)
class Watched:
    """A component as `perfloop status` needs to know it."""

    name: str
    url: str
    health_url: str


@dataclass(frozen=True, slots=True)
class Running:
    """What `perfloop up` brought up; the components are in the order in which they start."""

    mode: str
    demo: bool
    components: tuple[Watched, ...]

    @property
    def has_store(self) -> bool:
        """Whether a long-term store is among them, and so a pair of Prometheus."""
        return any(component.name == STORE for component in self.components)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        fresh.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _read_mapping(path: Path) -> dict[str, Any]:
    found = _read(path)
    return found if isinstance(found, dict) else {}


def save_running(home: Path, running: Running) -> None:
    """Record what was brought up."""
    _write(home / "run" / "stack.json", asdict(running))


def load_running(home: Path) -> Running | None:
    """Return what was brought up, or None when nothing was, or when the record cannot be used."""
    found = _read_mapping(home / "run" / "stack.json")
    try:
        components = tuple(
            Watched(str(one["name"]), str(one["url"]), str(one["health_url"])) for one in found["components"]
        )
        return Running(str(found["mode"]), bool(found["demo"]), components)
    except (KeyError, TypeError):
        return None


def forget_running(home: Path, *, restarts: bool = True) -> None:
    """Remove the record of what was brought up; that of the restarts and of what happened unless it is to be kept."""
    history = ("restarts.json", _NOTES) if restarts else ()
    for name in ("stack.json", "loaded.json", "pids.json", "guardian.json", _STOPPING, *history):
        (home / "run" / name).unlink(missing_ok=True)


def save_loaded(home: Path, digests: dict[str, str]) -> None:
    """Record a hash of the configuration that each component has read."""
    _write(home / "run" / "loaded.json", digests)


def load_loaded(home: Path) -> dict[str, str]:
    """Return a hash of the configuration that each component has read."""
    return {name: str(digest) for name, digest in _read_mapping(home / "run" / "loaded.json").items()}


def save_restart(home: Path, name: str, why: str) -> int:
    """Count one restart of `name` and return how many there were."""
    path = home / "run" / "restarts.json"
    count = load_restarts(home).get(name, 0) + 1
    _write(path, {**_read_mapping(path), name: {"count": count, "why": why}})
    return count


def load_restarts(home: Path) -> dict[str, int]:
    """Return how often each component came back since `perfloop up`."""
    entries = _read_mapping(home / "run" / "restarts.json").items()
    counts = {name: entry.get("count") for name, entry in entries if isinstance(entry, dict)}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def save_note(home: Path, note: str) -> None:
    """Record what happened to this stack that a person should know though it runs again; the last ones are kept."""
    _write(home / "run" / _NOTES, [*load_notes(home), note][-_MOST_NOTES:])


def load_notes(home: Path) -> list[str]:
    """Return the notes since the last `perfloop up`, oldest first."""
    found = _read(home / "run" / _NOTES)
    return [note for note in found if isinstance(note, str)] if isinstance(found, list) else []


def mark_stopping(home: Path) -> None:
    """Record that this process is stopping the stack, so that the guardian does not start it again.

    On a full disk there is no record: then the guardian hears of the end from supervisord alone.
    """
    with contextlib.suppress(OSError):
        (home / "run").mkdir(parents=True, exist_ok=True)
        (home / "run" / _STOPPING).write_text(identify(), encoding="utf-8")


def is_stopping(home: Path) -> bool:
    """Return whether `perfloop down` is at work; one that was killed half way is not."""
    try:
        return is_alive((home / "run" / _STOPPING).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def save_pids(home: Path, pids: dict[str, str]) -> None:
    """Record the process of each component, by its identity, for the day that supervisord itself is killed."""
    _write(home / "run" / "pids.json", pids)


def load_pids(home: Path) -> dict[str, str]:
    """Return the identity of each component's recorded process (see perfloop_base/processes.py)."""
    entries = _read_mapping(home / "run" / "pids.json").items()
    return {name: identity for name, identity in entries if isinstance(identity, str)}


def find_lock_holder(home: Path) -> str | None:
    """Return the identity of the process that starts or stops the stack at this moment, or None."""
    try:
        identity = (home / "run" / _LOCK).read_text(encoding="utf-8").rpartition(" ")[2]
    except (OSError, UnicodeDecodeError):
        return None
    return identity if is_alive(identity) else None


def _write_holder(lock: int, text: str) -> None:
    """Name the holder for whoever is refused; on a full disk it holds the lock without a name."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, text.encode(), 0)


@contextlib.contextmanager
def exclusive(home: Path, names: Iterable[str] = ("perfloop up",)) -> Iterator[None]:
    """Hold the lock of this stack.

    Raises:
        BusyError: naming the command that holds it.
    """
    (home / "run").mkdir(parents=True, exist_ok=True)
    path = home / "run" / _LOCK
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        holder = path.read_text(encoding="utf-8", errors="replace").strip().rpartition(" ")[0] or "another command"
        raise BusyError(f"{holder} is running in {home}: wait until it has ended") from error
    _write_holder(lock, f"`{' '.join(names)}` (pid {os.getpid()}) {identify()}")
    try:
        yield
    finally:
        _write_holder(lock, "")
        os.close(lock)
