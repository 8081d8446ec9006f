"""The command line: `python -m loadgen run FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from loadgen.app.session import Listen, Session
from loadgen.config import (
    LoadTestConfig,
    create_basic_load_test,
    create_endurance_test,
    create_spike_test,
    create_stress_test,
)
from loadgen.config.reading import read_tests
from loadgen.errors import ConfigError, ExitCode, LoadgenError
from loadgen.reporters.files import RENDERERS
from loadgen.summary.document import schema as report_schema

PROFILES = {
    "basic": create_basic_load_test,
    "stress": create_stress_test,
    "spike": create_spike_test,
    "endurance": create_endurance_test,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except LoadgenError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence the user reads
        return int(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perfloop loadgen", description="Load tests that tell the truth.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the tests of a file, or a ready-made profile")
    run.add_argument("file", nargs="?", type=Path, help="a YAML file with load_tests")
    run.add_argument("--profile", choices=PROFILES, help="a ready-made test instead of a file")
    run.add_argument("--test", action="append", metavar="NAME", help="only this test of the file (again for more)")
    run.add_argument("--url", help="the service under test, instead of the file's base_url")
    run.add_argument(
        "--web.listen-address",
        dest="listen",
        type=_listen,
        default=Listen(),
        metavar="HOST:PORT",
        help="where live metrics are served (default: the first free port of 19121-19129)",
    )
    for kind in RENDERERS:
        run.add_argument(
            f"--report.{kind}", dest=f"report_{kind}", type=Path, metavar="FILE", help=f"write a {kind} report"
        )
    run.set_defaults(command=_run)
    schema = commands.add_parser("schema", help="print the JSON schema of the JSON report")
    schema.set_defaults(command=_schema)
    return parser


def _run(arguments: argparse.Namespace) -> ExitCode:
    reports = {kind: getattr(arguments, f"report_{kind}") for kind in RENDERERS}
    chosen = {kind: path for kind, path in reports.items() if path is not None}
    return _on_uvloop(Session(_configs(arguments), arguments.listen, chosen).go())


def _schema(_: argparse.Namespace) -> ExitCode:
    print(json.dumps(report_schema(), indent=2, sort_keys=True))  # noqa: T201 - the schema is the output
    return ExitCode.OK


def _configs(arguments: argparse.Namespace) -> list[LoadTestConfig]:
    if (arguments.file is None) == (arguments.profile is None):
        raise ConfigError(["run: give either a FILE or a --profile"])
    tests = {arguments.profile: PROFILES[arguments.profile]()} if arguments.profile else read_tests(arguments.file)
    missing = [name for name in arguments.test or () if name not in tests]
    if missing:
        raise ConfigError([f"--test {name}: there is only {', '.join(tests)}" for name in missing])
    chosen = [tests[name] for name in arguments.test or tests]
    if arguments.url is not None:
        return [_aimed_at(arguments.url, config) for config in chosen]
    return chosen


def _aimed_at(url: str, config: LoadTestConfig) -> LoadTestConfig:
    try:
        config.base_url = url
    except ValueError as error:
        raise ConfigError([f"--url: {url!r}: must start with http:// or https://"]) from error
    return config


def _listen(text: str) -> Listen:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise argparse.ArgumentTypeError(f"{text!r}: must be HOST:PORT, as in 127.0.0.1:19120")
    return Listen(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - an empty host means every address, as in Go


def _on_uvloop(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    return uvloop.run(work)
