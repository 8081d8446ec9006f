"""The commands `compare` and `ab`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.redaction import redact_url
from perfloop_base.terminal import show
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.compare.bootstrap import MIN_POINTS
from perfloop_loadgen.compare.runs import Finding, Row, compare, obstacles
from perfloop_loadgen.reporters.markdown import comparison_lines
from perfloop_loadgen.summary.document import Document, from_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfloop_loadgen.config import LoadTestConfig

log = logging.getLogger(__name__)


def compare_files(base: Path, new: Path, tolerance_ratio: float, *, force: bool) -> ExitCode:
    """Compare two JSON reports, print the table, and return the exit code.

    Raises:
        ConfigError: a file is not a report, or the runs do not compare and `force` is not set.
    """
    before, after = from_json(base), from_json(new)
    found = obstacles(before, after)
    if found and not force:
        raise ConfigError([f"{base} and {new} do not compare: {reason} (--force compares anyway)" for reason in found])
    for reason in found:
        log.warning("compared although %s", reason)
    return _report(compare([before], [after], tolerance_ratio))


async def ab(config: LoadTestConfig, urls: tuple[str, str], rounds: int, tolerance_ratio: float) -> ExitCode:
    """Run against A and B in turn, A B A B …, so that drift of the machine affects both; print the table."""
    runs: tuple[list[Document], list[Document]] = ([], [])
    for number in range(rounds):
        for side, url in zip(runs, urls, strict=True):
            tester = LoadTester(config.model_copy(update={"base_url": url.rstrip("/")}))
            summary = await tester.run_load_test()
            p95 = summary.p95_response_time_ms
            log.info("round %d of %d: %s: %s, p95 %.4g ms", number + 1, rounds, redact_url(url), summary.verdict, p95)
            side.append(tester.document(summary))
    found = [reason for a, b in zip(*runs, strict=True) for reason in obstacles(a, b)]
    code = _report(compare(runs[0], runs[1], tolerance_ratio))
    if found:
        for reason in dict.fromkeys(found):
            log.error("invalid: %s", reason)
        return ExitCode.INVALID
    return code


def _report(rows: Sequence[Row]) -> ExitCode:
    for line in comparison_lines(rows):
        show(line)
    if any(row.finding is Finding.REGRESSED for row in rows):
        return ExitCode.FAILED
    if all(row.finding is Finding.UNKNOWN for row in rows if row.name != "error_ratio"):
        log.error(
            "invalid: too little data: each side needs %d seconds besides the first and last of a run", MIN_POINTS
        )
        return ExitCode.INVALID
    return ExitCode.OK
