"""Whether the disk of the stack has space: a Prometheus that cannot write still answers, but its alerts stand still."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from perfloop.stack.errors import StackError
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from pathlib import Path

COMFORTABLE_BYTES = 1_000_000_000
_START_BYTES = 100_000_000
_FULL_BYTES = 10_000_000


def find_existing(home: Path) -> Path:
    """Return the nearest directory at or above `home` that exists."""
    return next(path for path in (home, *home.parents) if path.exists())


def free_bytes(home: Path) -> int:
    """Return how many bytes a user other than root may still write where `home` is or will be."""
    return shutil.disk_usage(find_existing(home)).free


def require_space(home: Path) -> None:
    """Refuse to start where the first writes would fail.

    Raises:
        StackError: when less than 100 MB are free.
    """
    free = free_bytes(home)
    if free < _START_BYTES:
        raise StackError(
            f"the disk of {home} has {quantity(free, 'bytes')} free and the stack needs 100 MB to start: "
            "free some space, or put the stack elsewhere by PERFLOOP_HOME"
        )


def find_trouble(home: Path) -> str | None:
    """Return one sentence about a disk on which nothing can be stored any more, else None."""
    free = free_bytes(home)
    if free >= _FULL_BYTES:
        return None
    return (
        f"the disk of {home} is full ({quantity(free, 'bytes')} free): nothing is stored and alerts stand still; "
        "free some space, and the stack goes on by itself"
    )
