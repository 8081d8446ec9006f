"""The schedule's file, read at the start and again when it changes; one that becomes invalid changes nothing.

One that is not there schedules nothing, and is read once it is there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.reports import Reports, read_reports

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("analyzer.reports")


class PlanFile:
    """The schedule of reports.

    Attributes:
        problem: Why the file is not in use as it is now; empty while it is.
    """

    def __init__(self, path: Path | None) -> None:
        """Read the file; without one no report has a schedule.

        Raises:
            ConfigError: With every problem of it.
        """
        self._path = path
        self._seen = self._fingerprint()
        self._reports = self._read()
        self.problem = ""

    def current(self) -> Reports:
        """Return the schedule, read again where the file has changed."""
        now = self._fingerprint()
        if self._path is None or now == self._seen:
            return self._reports
        self._seen = now
        try:
            self._reports = self._read()
        except ConfigError as error:
            self.problem = "; ".join(error.problems)
            log.error("reports not rescheduled, the last good file stays in use: %s", self.problem)  # noqa: TRY400 - a user's mistake has no traceback
        else:
            self.problem = ""
            log.info("reports rescheduled")
        return self._reports

    def _read(self) -> Reports:
        if self._path is None:
            return Reports()
        if not self._path.exists():
            log.warning("no report is scheduled: %s is not there", self._path)
            return Reports()
        return read_reports(self._path)

    def _fingerprint(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
