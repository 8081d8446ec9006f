"""The commands `compare` and `ab`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.compare.bootstrap import FEWEST_POINTS
from perfloop_loadgen.compare.runs import Finding, Row, compare, obstacles
from perfloop_loadgen.errors import ConfigError, ExitCode
from perfloop_loadgen.reporters.comparison import comparison_lines
from perfloop_loadgen.summary.document import Document, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfloop_loadgen.config import LoadTestConfig


def compare_files(base: Path, new: Path, tolerance_ratio: float, *, force: bool) -> ExitCode:
    """Compare two JSON reports; refuse what cannot be compared, unless forced."""
    before, after = from_json(base), from_json(new)
    found = obstacles(before, after)
    if found and not force:
        raise ConfigError([f"{base} and {new} do not compare: {reason} (--force compares anyway)" for reason in found])
    _say(f"note: {reason}" for reason in found)
    return _tell(compare([before], [after], tolerance_ratio))


async def ab(config: LoadTestConfig, urls: tuple[str, str], rounds: int, tolerance_ratio: float) -> ExitCode:
    """Run against A and B in turn, A B A B …, so that what drifts on the machine falls on both."""
    runs: tuple[list[Document], list[Document]] = ([], [])
    for number in range(rounds):
        for side, url in zip(runs, urls, strict=True):
            tester = LoadTester(config.model_copy(update={"base_url": url.rstrip("/")}))
            summary = await tester.run_load_test()
            _say(
                [f"round {number + 1} of {rounds}: {url}: {summary.verdict}, p95 {summary.p95_response_time_ms:.4g} ms"]
            )
            side.append(tester.document(summary))
    found = [reason for a, b in zip(*runs, strict=True) for reason in obstacles(a, b)]
    code = _tell(compare(runs[0], runs[1], tolerance_ratio))
    if found:
        _say(f"invalid: {reason}" for reason in dict.fromkeys(found))
        return ExitCode.INVALID
    return code


def _tell(rows: Sequence[Row]) -> ExitCode:
    for line in comparison_lines(rows):
        print(line)  # noqa: T201 - the table is the output
    if any(row.finding is Finding.REGRESSED for row in rows):
        return ExitCode.FAILED
    if all(row.finding is Finding.UNKNOWN for row in rows if row.name != "error_ratio"):
        _say([f"invalid: too little data: each side needs {FEWEST_POINTS} seconds besides the first and last of a run"])
        return ExitCode.INVALID
    return ExitCode.OK


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - progress goes to stderr
