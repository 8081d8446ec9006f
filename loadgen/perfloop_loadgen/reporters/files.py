"""Write the reports of a run, each to its file."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from perfloop_loadgen.errors import ReportError
from perfloop_loadgen.reporters.csv_report import render_csv
from perfloop_loadgen.reporters.html_report import render_html
from perfloop_loadgen.reporters.junit import render_junit
from perfloop_loadgen.reporters.markdown import render_markdown
from perfloop_loadgen.summary.document import Document, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

RENDERERS: Mapping[str, Callable[[Document], bytes]] = {
    "json": to_json,
    "html": render_html,
    "csv": render_csv,
    "junit": render_junit,
    "markdown": render_markdown,
}


_UNSAFE = re.compile(r"[^\w.-]+")
# In bytes. Names of files have at most 255, and the report's own name and ending come before and after.
_LONGEST_PART = 100


def file_name_parts(names: Sequence[str]) -> list[str]:
    """Return what sets the files of each test apart: its name as far as a file's name can hold it, each one once."""
    taken: set[str] = set()
    parts: list[str] = []
    for name in names:
        part = _UNSAFE.sub("-", name).encode(errors="replace")[:_LONGEST_PART].decode(errors="ignore").strip(".-")
        part = part or "test"
        number = 1
        # To some file systems capitals and small letters are the same.
        while (unique := part if number == 1 else f"{part}-{number}").casefold() in taken:
            number += 1
        taken.add(unique.casefold())
        parts.append(unique)
    return parts


def write_reports(document: Document, files: Mapping[str, Path]) -> list[ReportError]:
    """Write every report that is asked for; return the errors of those that could not be written."""
    problems = []
    for kind, path in files.items():
        try:
            replace_file(path, RENDERERS[kind](document))
        except (OSError, ValueError) as error:  # a ValueError: NUL in the path
            reason = getattr(error, "strerror", None) or error
            problems.append(ReportError(f"--report.{kind}: {path} cannot be written: {reason}"))
    return problems


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file only once its new content is complete: a full disk leaves the old one."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a pipe or a device cannot be replaced
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the report, whose name may be as long as names can be.
    partial = path.with_name(f".report-{os.getpid()}-{time.monotonic_ns()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
