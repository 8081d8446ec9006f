"""The reports of past runs, where the stack keeps its files: a run's own page ends with its process.

Every load generator of the stack serves them, the steady load among them, so that a link to a run leads somewhere as
long as the stack is up.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from perfloop_base.home import find_home
from perfloop_loadgen.reporters.files import write_reports

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.errors import ReportError
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

# A report has some hundred kilobytes.
KEPT = 50
_LONGEST_NAME = 120
_UNSAFE = re.compile(r"[^0-9A-Za-z.-]+")


def file_name_of(run_name: str) -> str:
    """Return the name of a run's file, from which nothing leads elsewhere: `2026-11-29-14-05-07Z-stress.html`."""
    return f"{_UNSAFE.sub('-', run_name)[:_LONGEST_NAME].strip('.-') or 'run'}.html"


class RunReports:
    """The kept reports; none where there is no stack on this machine."""

    def __init__(self) -> None:
        # The name of the run of this process that is under way: its report is still to come.
        self.running = ""
        home = find_home()
        self._directory: Path | None = home / "load_reports" if (home / "targets").is_dir() else None

    def keep(self, document: Document) -> None:
        """Write the report of a run, and remove the oldest ones beyond those that are kept."""
        if self._directory is None:
            return
        for problem in write_reports(document, {"html": self._directory / file_name_of(document.run_name)}):
            log.warning("the report of this run is not kept for its link: %s", _reason(problem))
        for old in self._files()[KEPT:]:
            with suppress(OSError):
                old.unlink()

    def names(self) -> list[str]:
        """Return the names of the kept reports, the newest first."""
        return [file.stem for file in self._files()]

    def read(self, run_name: str) -> bytes | None:
        """Return the report of a run; None where there is none."""
        if self._directory is None:
            return None
        try:
            return (self._directory / file_name_of(run_name.removesuffix(".html"))).read_bytes()
        except OSError:
            return None

    def _files(self) -> list[Path]:
        # A name begins with the moment at which its run began.
        return [] if self._directory is None else sorted(self._directory.glob("[0-9]*.html"), reverse=True)


def _reason(problem: ReportError) -> str:
    return str(problem).removeprefix("--report.html: ")
