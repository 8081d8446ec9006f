"""The command line of the inbox: flags in, exit code out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base import cli
from perfloop_base.addresses import Address, parse_address
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, flag, read_flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """Where the inbox listens."""

    web: Address = flag(
        "--web.listen-address",
        Address("127.0.0.1", 19130),
        parse=parse_address,
        metavar="HOST:PORT",
        help="address of Slack's and PagerDuty's APIs, of the page and of the JSON API",
    )
    smtp: Address = flag(
        "--smtp.listen-address",
        Address("127.0.0.1", 19125),
        parse=parse_address,
        metavar="HOST:PORT",
        help="address of the SMTP server",
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the inbox's flags."""
    parser = cli.Parser(
        prog="perfloop inbox",
        description="Receives e-mail, Slack messages and PagerDuty events in place of the real services.",
        epilog=cli.exit_codes(ExitCode.OK, ExitCode.USAGE, ExitCode.PORT_TAKEN),
    )
    add_flags(parser, InboxSettings)
    cli.add_log_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the inbox and return the exit code."""
    return cli.guard("perfloop inbox", lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    cli.set_up_logs(arguments)
    settings = read_flags(InboxSettings, arguments)
    from perfloop_inbox.app import run  # the web framework is imported only when there is something to serve

    asyncio.run(run(settings.web, settings.smtp))
    return ExitCode.OK
