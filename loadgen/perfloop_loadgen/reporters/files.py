"""Write the reports of a run, each to its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.errors import ReportError
from perfloop_loadgen.reporters.csv_report import render_csv
from perfloop_loadgen.reporters.html_report import render_html
from perfloop_loadgen.reporters.junit import render_junit
from perfloop_loadgen.reporters.markdown import render_markdown
from perfloop_loadgen.summary.document import Document, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

RENDERERS: Mapping[str, Callable[[Document], bytes]] = {
    "json": to_json,
    "html": render_html,
    "csv": render_csv,
    "junit": render_junit,
    "markdown": render_markdown,
}


def write_reports(document: Document, files: Mapping[str, Path]) -> list[ReportError]:
    """Write every report that is asked for; return the errors of those that could not be written."""
    problems = []
    for kind, path in files.items():
        try:
            _write(path, RENDERERS[kind](document))
        except OSError as error:
            problems.append(ReportError(f"--report.{kind}: {path} cannot be written: {error.strerror or error}"))
    return problems


def _write(path: Path, content: bytes) -> None:
    """Replace the file only once its new content is complete: a full disk leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
