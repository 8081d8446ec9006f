"""`python -m perfloop_demo.service`: flags in, exit code out."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from perfloop_base import serving
from perfloop_base.errors import ExitCode, PerfloopError
from perfloop_demo.service.settings import read_settings


def build_parser() -> argparse.ArgumentParser:
    """Return the service's flags."""
    parser = argparse.ArgumentParser(
        prog="perfloop_demo.service",
        description="A FastAPI multimodal service with faults to inject.",
        epilog="DATABASE_URL takes the rows to PostgreSQL, REDIS_URL the cache to Redis.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--web.listen-address",
        dest="web",
        default="127.0.0.1:8000",
        metavar="HOST:PORT",
        help="where the service listens (default %(default)s)",
    )
    parser.add_argument(
        "--data.dir",
        dest="data_dir",
        default=".perfloop/demo",
        metavar="DIR",
        help="where the SQLite database lies when DATABASE_URL is not set (default %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the service and return the exit code."""
    flags = build_parser().parse_args(argv)
    serving.set_up_logging()
    try:
        address = serving.parse_address("--web.listen-address", flags.web)
        settings = read_settings(Path(flags.data_dir), os.environ)
        from perfloop_demo.service.app import run  # the libraries load only when there is something to serve

        asyncio.run(run(address, settings))
    except PerfloopError as error:
        sys.stderr.write(f"perfloop_demo.service: {error}\n")
        return error.exit_code
    return ExitCode.OK
