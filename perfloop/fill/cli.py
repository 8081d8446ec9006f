"""The command `perfloop fill`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop.fill.app import Outcome, fill
from perfloop.fill.config import FillConfig
from perfloop_base.cli import Parser, exit_codes, guard
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.terminal import show, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "perfloop fill"
CODES = (
    *(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_WRITTEN),
    *(ExitCode.SOURCE_UNAVAILABLE, ExitCode.INTERRUPTED),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return guard(PROGRAM, lambda: _run(argv))


def build_parser() -> Parser:
    """Return the parser of every flag."""
    parser = Parser(
        prog=PROGRAM,
        description="Write to the long-term store what it lacks of what Prometheus still has: after an outage of more "
        "than two hours, a restart of Prometheus during one, or samples that were refused. Nothing is written twice.",
        epilog=exit_codes(*CODES),
    )
    add_flags(parser, FillConfig, "filling")
    return parser


def _run(argv: Sequence[str] | None) -> int:
    config = read_flags(FillConfig, build_parser().parse_args(argv))
    config.check()
    outcome = fill(config, time.time(), warn)
    show(describe(outcome))
    # With --dry-run, what is missing is the answer to a question.
    return ExitCode.FAILED if outcome.missing > outcome.written else ExitCode.OK


def describe(outcome: Outcome) -> str:
    """Return what was done, in one sentence, and one more about what was not looked at."""
    if not outcome.missing:
        sentence = f"nothing is missing: {outcome.compared} samples compared"
    else:
        verb = "written" if outcome.written else "missing"
        sentence = f"{outcome.missing} of {outcome.compared} samples {verb}, of {outcome.series} series"
    more = f"; {outcome.histograms} native histograms were not compared" if outcome.histograms else ""
    return sentence + more
