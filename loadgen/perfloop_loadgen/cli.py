"""The command line: `python -m perfloop_loadgen run FILE`, and what goes with it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from perfloop_loadgen.app.calibrate import calibrate
from perfloop_loadgen.app.calibration import calibration_path, write_calibration
from perfloop_loadgen.app.choose import PROFILES, aimed_at, choose_tests, listen_address, percent
from perfloop_loadgen.app.comparing import ab, compare_files
from perfloop_loadgen.app.importing import FORMS, import_file
from perfloop_loadgen.app.session import Listen, Session
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.errors import ExitCode, LoadgenError
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.summary.document import schema as report_schema


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except LoadgenError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence the user reads
        return int(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    codes = ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode)
    parser = argparse.ArgumentParser(
        prog="perfloop loadgen",
        description="Load tests that tell the truth.",
        epilog=f"To begin with: run --profile basic --url http://localhost:8000. Exit codes: {codes}.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run the tests of a file, or a ready-made profile"))
    _add_breakpoint(commands.add_parser("breakpoint", help="find the highest rate that keeps the thresholds"))
    _add_compare(commands.add_parser("compare", help="judge one JSON report against another"))
    _add_ab(commands.add_parser("ab", help="run one test against two services in turn and compare"))
    _add_calibrate(commands.add_parser("calibrate", help="measure what this machine can generate"))
    _add_import(commands.add_parser("import", help="make a test file from an OpenAPI document or a HAR recording"))
    schema = commands.add_parser("schema", help="print the JSON schema of the JSON report")
    schema.set_defaults(command=_schema)
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, help="a YAML file with load_tests")
    parser.add_argument("--profile", choices=PROFILES, help="a ready-made test instead of a file")
    parser.add_argument("--test", action="append", metavar="NAME", help="only this test of the file (again for more)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument("--url", help="the service under test, instead of the file's base_url")
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        type=listen_address,
        default=Listen(),
        metavar="HOST:PORT",
        help="where live metrics are served (default: the first free port of 19121-19129)",
    )
    for kind in RENDERERS:
        parser.add_argument(
            f"--report.{kind}", dest=f"report_{kind}", type=Path, metavar="FILE", help=f"write a {kind} report"
        )
    parser.set_defaults(command=_run)


def _add_breakpoint(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--start-rate", type=float, default=10, metavar="RATE", help="requests/s to begin with")
    parser.add_argument("--step-seconds", type=float, default=10, metavar="S", help="length of each step")
    parser.set_defaults(command=_breakpoint)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", type=Path, help="the JSON report of the baseline")
    parser.add_argument("new", type=Path, help="the JSON report to judge")
    parser.add_argument(
        "--tolerance", type=percent, default=0.1, metavar="PERCENT", help="certain change that is still borne"
    )
    parser.add_argument("--force", action="store_true", help="compare runs of different configurations or hosts")
    parser.set_defaults(command=lambda a: compare_files(a.base, a.new, a.tolerance, force=a.force))


def _add_ab(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url_a", metavar="A", help="the service as it was")
    parser.add_argument("url_b", metavar="B", help="the service as it shall be")
    _add_source(parser)
    parser.add_argument("--rounds", type=int, default=2, help="how often each side is run")
    parser.add_argument(
        "--tolerance", type=percent, default=0.1, metavar="PERCENT", help="certain change that is still borne"
    )
    parser.set_defaults(command=_ab)


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=5, help="length of each of the two measurements")
    parser.set_defaults(command=_calibrate)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("form", choices=FORMS, help="what the file is")
    parser.add_argument("file", type=Path)
    parser.set_defaults(command=lambda a: _print(import_file(a.form, a.file)))


def _run(arguments: argparse.Namespace) -> ExitCode:
    configs = choose_tests(arguments.file, arguments.profile, arguments.test)
    return _session(arguments, [aimed_at(arguments.url, config) for config in configs])


def _breakpoint(arguments: argparse.Namespace) -> ExitCode:
    search = BreakpointConfig(
        shape="breakpoint",
        start_rate=arguments.start_rate,
        step_seconds=arguments.step_seconds,
        confirm_seconds=3 * arguments.step_seconds,
    )
    configs = choose_tests(arguments.file, arguments.profile or (None if arguments.file else "basic"), arguments.test)
    for config in configs:
        config.load = config.load if isinstance(config.load, BreakpointConfig) else search
    return _session(arguments, [aimed_at(arguments.url, config) for config in configs])


def _session(arguments: argparse.Namespace, configs: list[Any]) -> ExitCode:
    reports = {kind: getattr(arguments, f"report_{kind}") for kind in RENDERERS}
    chosen = {kind: path for kind, path in reports.items() if path is not None}
    return uvloop.run(Session(configs, arguments.listen, chosen).go())


def _ab(arguments: argparse.Namespace) -> ExitCode:
    [config] = choose_tests(arguments.file, arguments.profile, arguments.test, one=True)
    sides = (aimed_at(arguments.url_a, config).base_url, aimed_at(arguments.url_b, config).base_url)
    return uvloop.run(ab(config, sides, arguments.rounds, arguments.tolerance))


def _calibrate(arguments: argparse.Namespace) -> ExitCode:
    measured = uvloop.run(calibrate(arguments.seconds))
    write_calibration(measured)
    return _print(
        f"{measured.requests_per_cpu_second:.0f} requests per CPU-second at most\n"
        f"starts late by {measured.start_lag_p50_seconds * 1e6:.0f} µs (p50), "
        f"{measured.start_lag_p99_seconds * 1e6:.0f} µs (p99)\n"
        f"kept in {calibration_path()} for every report of this machine"
    )


def _schema(_: argparse.Namespace) -> ExitCode:
    return _print(json.dumps(report_schema(), indent=2, sort_keys=True))


def _print(text: str) -> ExitCode:
    print(text)  # noqa: T201 - the result is the program's output
    return ExitCode.OK
