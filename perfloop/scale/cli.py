"""The command `perfloop scale`."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from perfloop.scale.changing import build_change
from perfloop.scale.config import ScaleConfig
from perfloop.scale.following import Follower, alone
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.home import find_home, make_private, running_url
from perfloop_base.terminal import show
from perfloop_loadgen.prometheus_api import PrometheusApi

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "perfloop scale"
CODES = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.BUSY,
    ExitCode.SOURCE_UNAVAILABLE,
    ExitCode.INTERRUPTED,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return guard(PROGRAM, lambda: _run(argv))


def build_parser() -> Parser:
    """Return the parser of every flag."""
    parser = Parser(
        prog=PROGRAM,
        description="Give a service as many replicas as the analyzer computes, by a command or a webhook. Without an "
        "answer of the analyzer nothing is changed.",
        epilog=exit_codes(*CODES),
    )
    add_flags(parser, ScaleConfig, "scaling")
    add_log_flags(parser)
    return parser


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    set_up_logs(arguments)
    config = read_flags(ScaleConfig, arguments)
    config.check()
    home = find_home()
    make_private(home)
    with alone(home, config.service):
        follower = Follower(
            config.service, PrometheusApi(config.prometheus_url or running_url("prometheus")), build_change(config)
        )
        if config.once:
            show(f"{config.service}: {asyncio.run(follower.look())} replicas")
            return ExitCode.OK
        # Ended by SIGTERM as by Ctrl+C: a change that runs is ended with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        asyncio.run(follower.follow(config.interval))
    return ExitCode.OK
