"""The flags that say which reports of a run are written."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.flags import flag, read_flags

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True, slots=True)
class Reports:
    """The file of each kind of report; the fields are named after the kinds."""

    json: Path | None = flag("--report.json", None, parse=Path, help="write a JSON report")
    html: Path | None = flag("--report.html", None, parse=Path, help="write an HTML report")
    csv: Path | None = flag("--report.csv", None, parse=Path, help="write the timeline as CSV")
    junit: Path | None = flag("--report.junit", None, parse=Path, help="write a JUnit report")
    markdown: Path | None = flag("--report.markdown", None, parse=Path, help="write a Markdown report")


def report_files(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the file of each kind of report that is asked for."""
    reports = read_flags(Reports, arguments)
    files = {kind.name: getattr(reports, kind.name) for kind in fields(reports)}
    return {kind: path for kind, path in files.items() if path is not None}
