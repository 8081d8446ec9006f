"""Keeps the service's database usable: damaged files are moved aside, and whether it can be written is known."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop_base.state import StateHealth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATE = "analyzer"

log = logging.getLogger("analyzer.store")


class Keeper:
    """What happened to the state of the running service.

    Attributes:
        health: The state's metrics.
        problem: Why it could not be read or written the last time; empty while it could.
        moved: What was moved aside, when and why, in one sentence; empty when nothing was.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.health = StateHealth((STATE,))
        self.problem = ""
        self.moved = ""
        self._clock = clock

    def set_aside(self, path: Path, reason: str) -> bool:
        """Move a damaged database away and say so; return whether it could be moved."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        try:
            target = self.health.set_aside(STATE, path, now)
        except OSError as error:
            log.error("the damaged database %s cannot be moved aside: %s", path, error.strerror)  # noqa: TRY400 - not a bug
            return False
        self.moved = (
            f"The database was found damaged on {now:%Y-%m-%d at %H:%M:%S} UTC ({reason}), moved aside to "
            f"{target.name} and begun again: decisions and history from before are in that file."
        )
        log.error("%s", self.moved)
        return True

    def replaced(self, path: Path) -> None:
        """Say that the file was deleted or replaced while the service ran."""
        log.error("the database's file %s was deleted or replaced: begun again", path)

    def worked(self, *, wrote: bool) -> None:
        """Note a call that worked."""
        self.problem = ""
        if wrote and self.health.note_write(STATE, worked=True):
            log.info("the database can be written again")

    def failed(self, problem: str, *, writing: bool) -> None:
        """Note a call that failed."""
        self.problem = problem
        if writing and self.health.note_write(STATE, worked=False):
            log.error("the database cannot be written, results are kept in memory only: %s", problem)
