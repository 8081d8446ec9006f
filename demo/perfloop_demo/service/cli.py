"""The command line of the demo service: flags in, exit code out."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.extras import explain_missing
from perfloop_base import cli
from perfloop_base.addresses import Address, parse_address
from perfloop_base.errors import ExitCode, StartError
from perfloop_base.flags import add_flags, flag, read_flags
from perfloop_base.web.flags import allowed_hosts_flag, config_file_flag
from perfloop_base.web.limits import Limits
from perfloop_base.web.settings import Web
from perfloop_demo.service import tracing
from perfloop_demo.service.settings import read_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from perfloop_demo.service.instruments import Instruments

_PROGRAM = "perfloop_demo.service"
_MOST_CONNECTIONS = 4096
INSTRUMENTATIONS = ("perfloop", "otel")


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """Where the service listens and keeps its data."""

    web: Address = flag(
        "--web.listen-address",
        Address("127.0.0.1", 8000),
        parse=parse_address,
        metavar="HOST:PORT",
        help="address of the service",
    )
    web_config_file: str = config_file_flag()
    allowed_hosts: tuple[str, ...] = allowed_hosts_flag()
    instrumentation: str = flag(
        "--instrumentation",
        "perfloop",
        choices=INSTRUMENTATIONS,
        help="what measures the service: Perfloop, for Prometheus to scrape, or OpenTelemetry, which sends by OTLP",
    )
    data_dir: Path = flag(
        "--data.dir",
        Path(".perfloop/demo"),
        parse=Path,
        metavar="DIR",
        help="directory of the SQLite database, which is used unless DATABASE_URL is set",
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the service's flags."""
    parser = cli.Parser(
        prog=_PROGRAM,
        description="A FastAPI multimodal service with faults to inject.",
        epilog="DATABASE_URL selects a PostgreSQL database, REDIS_URL a Redis cache. "
        + cli.exit_codes(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.PORT_TAKEN),
    )
    add_flags(parser, DemoSettings)
    cli.add_log_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service and return the exit code."""
    return cli.guard(_PROGRAM, lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    cli.set_up_logs(arguments)
    flags = read_flags(DemoSettings, arguments)
    settings = read_settings(flags.data_dir, os.environ)
    from perfloop_demo.service.app import run  # the libraries are imported only when there is something to serve

    instruments = _find_instruments(flags)
    # Load tests open a connection per user.
    limits = Limits(connections=_MOST_CONNECTIONS)
    protection = Web(flags.web_config_file, flags.allowed_hosts, "demo", limits=limits)
    with _tracing(flags):
        asyncio.run(run(flags.web, settings, protection, instruments))
    return ExitCode.OK


@contextmanager
def _tracing(flags: DemoSettings) -> Iterator[None]:
    """Send spans while the block runs, where the variables ask for it; OpenTelemetry's instrumentation has its own."""
    end = tracing.set_up(os.environ) if flags.instrumentation == "perfloop" else None
    try:
        yield
    finally:
        if end is not None:
            end()


def _find_instruments(flags: DemoSettings) -> Instruments:
    """Return what measures the service.

    Raises:
        StartError: a library of OpenTelemetry is not installed.
    """
    if flags.instrumentation == "perfloop":
        from perfloop_demo.service.instruments.library import LIBRARY

        return LIBRARY
    try:
        from perfloop_demo.service.instruments.otel import from_environment
    except ModuleNotFoundError as error:
        sentence = explain_missing(error, "otel-demo")
        if sentence is None:
            raise
        raise StartError(f"--instrumentation has the value 'otel': {sentence}.") from error
    return from_environment(str(flags.web))
