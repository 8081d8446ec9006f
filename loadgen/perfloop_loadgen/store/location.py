"""Where runs are kept: the URL, and turns of programs that write to one file."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.home import find_home, make_private
from perfloop_base.redaction import register_url

if TYPE_CHECKING:
    from collections.abc import Iterator

URL_VARIABLE = "PERFLOOP_LOADGEN_STORE_URL"
# As a URL: runs are not stored.
NONE = "none"
_SQLITE = "sqlite:///"
# A writer needs some ten milliseconds; one that is frozen is not waited for any longer than this.
_TURN_SECONDS = 10.0
_STEP_SECONDS = 0.01


def directory() -> Path:
    """Return the directory of the load generator's own files, which may not be there."""
    return find_home().absolute() / "loadgen"


def make_directory() -> Path:
    """Make the directory that its owner alone may enter, and return it.

    Raises:
        OSError: it cannot be made.
        ConfigError: the home is a directory that all users share.
    """
    make_private(find_home().absolute())
    make_private(directory())
    return directory()


def standing_url() -> str:
    """Return the URL of the database for every command that names no other: of the environment, else in the home."""
    found = os.environ.get(URL_VARIABLE, "").strip() or f"{_SQLITE}{directory() / 'runs.db'}"
    register_url(found)
    return found


def chosen_url(url: str, file: Path | None) -> str:
    """Return the URL that flags name, else the standing one.

    Args:
        url: The flag's value, or nothing.
        file: A file that holds the URL, for one with a password.

    Raises:
        ConfigError: the file cannot be read or is empty.
    """
    if file is not None:
        try:
            url = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"--store.url-file: {file} cannot be read: {error}") from error
        if not url:
            raise ConfigError(f"--store.url-file: {file} is empty: it holds the URL of a database")
    if not url:
        return standing_url()
    register_url(url)
    return url


def path_of(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for a server, or a database in memory."""
    if not url.startswith(_SQLITE):
        return None
    name = url.removeprefix(_SQLITE).partition("?")[0]
    return Path(name) if name and name != ":memory:" else None


@contextmanager
def turn(path: Path | None) -> Iterator[None]:
    """Let one program at a time open, repair and write a file; servers see to that themselves.

    SQLite has its own locks. They do not keep two programs from upgrading a new file at once, nor one from moving
    aside as damaged what another has just begun again.
    """
    if path is None:
        yield
        return
    try:
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # what is wrong with the directory is said by who writes the file
        yield
        return
    try:
        _wait_for(lock)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int) -> None:
    until = time.monotonic() + _TURN_SECONDS
    while time.monotonic() < until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_STEP_SECONDS)
        except OSError:  # a file system without locks
            return
        else:
            return
