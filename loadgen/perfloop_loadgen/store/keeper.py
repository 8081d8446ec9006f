"""What happens to a damaged database of runs: it is moved aside, said loudly, and begun again."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop_base.state import set_aside

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

# A file that a flag names by mistake has another ending, and is never moved.
_ENDINGS = (".db", ".sqlite", ".sqlite3")


class LoudKeeper:
    """Moves a damaged file aside; `moved` is how often."""

    def __init__(self) -> None:
        self.moved = 0

    def set_aside(self, path: Path, reason: str) -> None:
        """Move a damaged database away and say so."""
        if path.suffix not in _ENDINGS:
            log.error(
                "%s cannot be used (%s), and is not moved aside: its name is not that of a database", path, reason
            )
            return
        try:
            if not path.stat().st_size:  # a full disk, or a kill, left it so: there is nothing to keep
                path.unlink()
                self.moved += 1
                log.error("%s was found empty and is begun again", path)
                return
            target = set_aside(path, datetime.fromtimestamp(time.time(), UTC))
        except OSError as error:
            log.error("the damaged database %s cannot be moved aside: %s", path, error.strerror)  # noqa: TRY400 - not a bug
            return
        self.moved += 1
        log.error(
            "%s was found damaged (%s), moved aside to %s and begun again: earlier runs and baselines are in that file",
            path,
            reason,
            target.name,
        )

    def replaced(self, path: Path) -> None:
        """Say that the file was deleted or replaced while it was open."""
        log.error("the database's file %s was deleted or replaced: begun again", path)

    def worked(self, *, wrote: bool) -> None:
        """Nothing is counted: the process ends soon."""

    def failed(self, problem: str, *, writing: bool) -> None:
        """Nothing is counted: who called hears of it by the exception."""
