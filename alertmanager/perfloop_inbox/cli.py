"""`python -m perfloop_inbox`: flags in, exit code out."""

from __future__ import annotations

import argparse
import asyncio
import sys

from perfloop_base import serving
from perfloop_base.errors import ExitCode, PerfloopError


def build_parser() -> argparse.ArgumentParser:
    """Return the inbox's flags."""
    parser = argparse.ArgumentParser(prog="perfloop_inbox", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--web.listen-address",
        dest="web",
        default="127.0.0.1:19130",
        metavar="HOST:PORT",
        help="where Slack's and PagerDuty's APIs, the page and the JSON API listen (default %(default)s)",
    )
    parser.add_argument(
        "--smtp.listen-address",
        dest="smtp",
        default="127.0.0.1:19125",
        metavar="HOST:PORT",
        help="where the SMTP server listens (default %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the inbox and return the exit code."""
    flags = build_parser().parse_args(argv)
    serving.set_up_logging()
    try:
        web = serving.parse_address("--web.listen-address", flags.web)
        smtp = serving.parse_address("--smtp.listen-address", flags.smtp)
        from perfloop_inbox.app import run  # the web framework loads only when there is something to serve

        asyncio.run(run(web, smtp))
    except PerfloopError as error:
        sys.stderr.write(f"perfloop_inbox: {error}\n")
        return error.exit_code
    return ExitCode.OK
