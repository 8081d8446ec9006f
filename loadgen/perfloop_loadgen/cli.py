"""The command line: `python -m perfloop_loadgen run FILE`, and what goes with it."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from pydantic import ValidationError

from perfloop_base.addresses import Address, parse_address
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.flags import add_flags, flag, read_flags
from perfloop_base.home import local_url
from perfloop_base.quantities import quantity
from perfloop_base.web.flags import allowed_hosts_flag, config_file_flag
from perfloop_base.web.settings import Web
from perfloop_loadgen.app.calibration import calibrate, calibration_path, write_calibration
from perfloop_loadgen.app.comparing import ab, compare_files
from perfloop_loadgen.app.importing import FORMS, import_file
from perfloop_loadgen.app.session import Session
from perfloop_loadgen.config import PROFILES, LoadTestConfig
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.config.model import load_test_schema
from perfloop_loadgen.summary.document import report_schema

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

_CODES = (
    *(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.PORT_TAKEN, ExitCode.INVALID),
    *(ExitCode.STOPPED, ExitCode.NOT_WRITTEN, ExitCode.SOURCE_UNAVAILABLE),
)
_SCHEMAS = {"report": report_schema, "test": load_test_schema}


def parse_positive(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not 0 < value < math.inf:
        raise ValueError(f"{text!r} must be above 0")
    return value


def parse_percent(text: str) -> float:
    """Read a number of per cent: `10` or `10%`."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is not a number of per cent, as 10") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{text!r} must not be negative")
    return value


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tests are meant."""

    profile: str | None = flag("--profile", None, choices=tuple(PROFILES), help="a ready-made test instead of a file")
    names: tuple[str, ...] = flag(
        "--test", (), repeat=True, metavar="NAME", help="run only this test of the file (may be repeated)"
    )


@dataclass(frozen=True, slots=True)
class Service:
    """The service under test and the address of the live metrics."""

    url: str | None = flag("--url", None, metavar="URL", help="the service under test, instead of the file's base_url")
    listen: Address | None = flag(
        "--web.listen-address",
        None,
        parse=parse_address,
        metavar="HOST:PORT",
        help="address of the live metrics (default: the first free port of 19121-19129, after PERFLOOP_LOADGEN_PORT)",
    )
    web_config_file: str = config_file_flag()
    allowed_hosts: tuple[str, ...] = allowed_hosts_flag()


@dataclass(frozen=True, slots=True)
class Reports:
    """The file of each kind of report; the fields are named after the kinds."""

    json: Path | None = flag("--report.json", None, parse=Path, help="write a JSON report")
    html: Path | None = flag("--report.html", None, parse=Path, help="write an HTML report")
    csv: Path | None = flag("--report.csv", None, parse=Path, help="write the timeline as CSV")
    junit: Path | None = flag("--report.junit", None, parse=Path, help="write a JUnit report")
    markdown: Path | None = flag("--report.markdown", None, parse=Path, help="write a Markdown report")


@dataclass(frozen=True, slots=True)
class SearchSteps:
    """The steps of a breakpoint search, for a test without a section `load` of that shape."""

    start_rate: float = flag(
        "--start-rate", 10.0, parse=parse_positive, metavar="RATE", help="first rate, in requests/s"
    )
    step_seconds: float = flag("--step-seconds", 10.0, minimum=0.5, metavar="S", help="length of each step, in seconds")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When a change is a regression."""

    percent: float = flag(
        "--tolerance", 10, parse=parse_percent, metavar="PERCENT", help="largest significant change to tolerate"
    )

    @property
    def ratio(self) -> float:
        """Return the tolerance as a share of the baseline."""
        return self.percent / 100


@dataclass(frozen=True, slots=True)
class Rounds:
    """The length of an A/B test."""

    rounds: int = flag("--rounds", 2, minimum=1, help="number of runs against each side")


@dataclass(frozen=True, slots=True)
class Measurement:
    """The length of a calibration."""

    seconds: float = flag(
        "--seconds", 5.0, parse=parse_positive, metavar="S", help="length of each of the two measurements, in seconds"
    )


@dataclass(frozen=True, slots=True)
class SchemaSubject:
    """What a schema describes."""

    of: str = flag("--of", "report", choices=tuple(_SCHEMAS), help="a load test file, or the JSON report")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guard("perfloop loadgen", lambda: _main(argv))


def _main(argv: list[str] | None) -> ExitCode:
    arguments = build_parser().parse_args(argv)
    set_up_logs(arguments)
    command: Callable[[argparse.Namespace], ExitCode] = arguments.command
    return command(arguments)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="perfloop loadgen",
        description="Load tests with response times from the intended start, gates, and reports.",
        epilog=f"To begin with: run --profile basic --url http://localhost:8000. {exit_codes(*_CODES)}",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the tests of a file, or a ready-made profile")
    _add(run, _run, Selection, Service, Reports, file=True)
    search = commands.add_parser("breakpoint", help="find the highest rate that keeps the thresholds")
    _add(search, _breakpoint, Selection, Service, Reports, SearchSteps, file=True)
    compare = commands.add_parser("compare", help="judge one JSON report against another")
    compare.add_argument("base", type=Path, help="JSON report of the baseline")
    compare.add_argument("new", type=Path, help="JSON report to judge")
    compare.add_argument("--force", action="store_true", help="compare runs of different configurations or hosts")
    _add(compare, _compare, Tolerance)
    sides = commands.add_parser("ab", help="run one test against two services in turn and compare")
    sides.add_argument("url_a", metavar="A", help="address of the service as it was")
    sides.add_argument("url_b", metavar="B", help="address of the service with the change")
    _add(sides, _ab, Selection, Rounds, Tolerance, file=True)
    _add(commands.add_parser("calibrate", help="measure what this machine can generate"), _calibrate, Measurement)
    importer = commands.add_parser("import", help="make a test file from an OpenAPI document or a HAR recording")
    importer.add_argument("form", choices=tuple(FORMS), help="the kind of file")
    importer.add_argument("file", type=Path)
    _add(importer, _import)
    schema = commands.add_parser("schema", help="print the JSON schema of the test file or of the JSON report")
    _add(schema, _schema, SchemaSubject)
    return parser


def _add(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], ExitCode],
    *flags: type,
    file: bool = False,
) -> None:
    if file:
        parser.add_argument("file", nargs="?", type=Path, help="a YAML file with load_tests")
    for kind in flags:
        add_flags(parser, kind)
    add_log_flags(parser)
    parser.set_defaults(command=command)


def choose_tests(
    file: Path | None, selection: Selection, url: str | None, *, one: bool = False
) -> list[LoadTestConfig]:
    """Return the tests that are meant, against `url` if it is given.

    Args:
        file: a file of tests; or else `selection` names a profile.
        selection: the profile, or the tests of the file.
        url: the service under test. Without it and without a `base_url` in the file, that is the local demo service.
        one: whether only one test makes sense.

    Raises:
        ConfigError: the file is wrong, or the flags do not name tests.
    """
    if (file is None) == (selection.profile is None):
        raise ConfigError("give either a FILE or a --profile")
    if selection.profile is not None:
        create = PROFILES[selection.profile]
        tests = {selection.profile: create() if url else create(_demo_url())}
    else:
        tests = LoadTestConfig.all_from_yaml(file or Path())
    missing = [name for name in selection.names if name not in tests]
    if missing:
        raise ConfigError([f"--test {name}: there is only {', '.join(tests)}" for name in missing])
    chosen = [tests[name] for name in selection.names or tests]
    if one and len(chosen) != 1:
        raise ConfigError(f"{file} holds {len(chosen)} tests ({', '.join(tests)}): choose one with --test")
    return [with_base_url(config, url) for config in chosen]


def with_base_url(config: LoadTestConfig, url: str | None) -> LoadTestConfig:
    """Return the test against another service; without a URL against its own, or else the local demo service."""
    if url is None:
        if "base_url" in config.model_fields_set:
            return config
        url = _demo_url()
    try:
        config.base_url = url
    except ValidationError as error:
        raise ConfigError(f"--url: {url!r}: must start with http:// or https://") from error
    return config


def _demo_url() -> str:
    url = local_url("demo")
    log.info("neither --url nor base_url is given: testing the demo service at %s", url)
    return url


def _run(arguments: argparse.Namespace) -> ExitCode:
    service = read_flags(Service, arguments)
    return _session(arguments, choose_tests(arguments.file, read_flags(Selection, arguments), service.url))


def _breakpoint(arguments: argparse.Namespace) -> ExitCode:
    steps = read_flags(SearchSteps, arguments)
    search = BreakpointConfig(
        shape="breakpoint",
        start_rate=steps.start_rate,
        step_seconds=steps.step_seconds,
        confirm_seconds=3 * steps.step_seconds,
    )
    selection = read_flags(Selection, arguments)
    if arguments.file is None and selection.profile is None:
        selection = Selection("basic", selection.names)
    configs = choose_tests(arguments.file, selection, read_flags(Service, arguments).url)
    for config in configs:
        config.load = config.load if isinstance(config.load, BreakpointConfig) else search
    return _session(arguments, configs)


def _session(arguments: argparse.Namespace, configs: Sequence[LoadTestConfig]) -> ExitCode:
    reports = read_flags(Reports, arguments)
    files = {kind.name: getattr(reports, kind.name) for kind in fields(reports)}
    chosen = {kind: path for kind, path in files.items() if path is not None}
    service = read_flags(Service, arguments)
    web = Web(service.web_config_file, service.allowed_hosts, "loadgen")
    return uvloop.run(Session(configs, service.listen, chosen, web).go())


def _compare(arguments: argparse.Namespace) -> ExitCode:
    tolerance = read_flags(Tolerance, arguments).ratio
    return compare_files(arguments.base, arguments.new, tolerance, force=arguments.force)


def _ab(arguments: argparse.Namespace) -> ExitCode:
    selection = read_flags(Selection, arguments)
    [config] = choose_tests(arguments.file, selection, arguments.url_a, one=True)
    sides = (config.base_url, with_base_url(config, arguments.url_b).base_url)
    rounds, tolerance = read_flags(Rounds, arguments).rounds, read_flags(Tolerance, arguments).ratio
    return uvloop.run(ab(config, sides, rounds, tolerance))


def _calibrate(arguments: argparse.Namespace) -> ExitCode:
    measured = uvloop.run(calibrate(read_flags(Measurement, arguments).seconds))
    write_calibration(measured)
    return _print(
        f"{measured.requests_per_cpu_second:.0f} requests per CPU-second at most\n"
        f"starts late by {quantity(measured.start_lag_p50_seconds, 'seconds')} (p50), "
        f"{quantity(measured.start_lag_p99_seconds, 'seconds')} (p99)\n"
        f"written to {calibration_path()} for every report of this machine"
    )


def _import(arguments: argparse.Namespace) -> ExitCode:
    return _print(import_file(arguments.form, arguments.file).rstrip("\n"))


def _schema(arguments: argparse.Namespace) -> ExitCode:
    schema = _SCHEMAS[read_flags(SchemaSubject, arguments).of]()
    return _print(json.dumps(schema, indent=2, sort_keys=True))


def _print(text: str) -> ExitCode:
    print(text)  # noqa: T201 - the result is the program's output
    return ExitCode.OK
