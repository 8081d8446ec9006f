"""The command line of the tour."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from perfloop_base import cli
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_PROGRAM = "perfloop tour"


def build_parser() -> argparse.ArgumentParser:
    """Return the tour's flags."""
    parser = cli.Parser(
        prog=_PROGRAM,
        description="Shows the closed loop on the running stack in about nine minutes; starts the stack if none runs.",
        epilog=cli.exit_codes(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE),
    )
    cli.add_log_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tour and return the exit code."""
    return cli.guard(_PROGRAM, lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    cli.set_up_logs(build_parser().parse_args(argv))
    from perfloop_demo.tour.stack import Stack
    from perfloop_demo.tour.steps import Narrator, run_tour

    narrator = Narrator()
    narrator.say("start", "looking for a running stack, and starting one if there is none")
    try:
        with Stack.find() as stack:
            run_tour(stack, narrator)
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted; the demo's faults are off.\n")
        return ExitCode.FAILED
    return ExitCode.OK
