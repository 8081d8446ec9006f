"""The command line of the inbox: flags in, exit code out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base import cli
from perfloop_base.addresses import Address, is_http_url, parse_address
from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, flag, read_flags
from perfloop_base.redaction import register_url
from perfloop_base.web.flags import allowed_hosts_flag, config_file_flag
from perfloop_base.web.settings import Web

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def parse_url(text: str) -> str:
    """Return the address of an HTTP server without a slash at its end.

    Raises:
        ValueError: one sentence with the rule; the value may hold a password, and is not repeated.
    """
    register_url(text)
    if not is_http_url(text):
        raise ValueError("the value is no address: it must be http://HOST:PORT or https://HOST:PORT")
    return text.rstrip("/")


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """Where the inbox listens, what it watches, and where it keeps its state."""

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
    prometheus: str = flag(
        "--prometheus.url",
        "",
        parse=parse_url,
        metavar="URL",
        help="Prometheus whose alerts must reach the receivers; without it no notification is checked",
    )
    alertmanagers: tuple[str, ...] = flag(
        "--alertmanager.url",
        (),
        parse=parse_url,
        repeat=True,
        metavar="URL",
        help="Alertmanager that sends them; once for each member of a cluster",
    )
    interval: float = flag(
        "--notifications.interval",
        2.0,
        parse=parse_positive_duration,
        help="time between two comparisons of what fires with what was sent",
    )
    state: Path | None = flag(
        "--state.dir",
        None,
        parse=Path,
        metavar="DIRECTORY",
        help="directory of messages and incidents, so that a restart finds them; without it they are in memory alone",
    )
    web_config_file: str = config_file_flag()
    allowed_hosts: tuple[str, ...] = allowed_hosts_flag()


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
    from perfloop_inbox.app import Watched, run  # the web framework is imported only when there is something to serve

    protection = Web(settings.web_config_file, settings.allowed_hosts, "inbox")
    watched = Watched(settings.prometheus, settings.alertmanagers, settings.interval)
    asyncio.run(run(settings.web, settings.smtp, protection, watched=watched, state=settings.state))
    return ExitCode.OK
