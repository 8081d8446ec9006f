"""The command line: `python -m perfloop_loadgen run FILE`, and what goes with it."""

from __future__ import annotations

import io
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from pydantic import ValidationError

from perfloop_base.addresses import Address, parse_address
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.clusters import LOCAL
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.flags import add_flags, flag, read_flags
from perfloop_base.home import local_url
from perfloop_base.web.flags import allowed_hosts_flag, config_file_flag
from perfloop_base.web.settings import Web
from perfloop_loadgen import compare_cli
from perfloop_loadgen.app.adjusting import adjusted
from perfloop_loadgen.app.memory import Memory
from perfloop_loadgen.app.repeat import Repetition
from perfloop_loadgen.app.session import Session
from perfloop_loadgen.app.store_flags import KeepFlags, StoreFlags, keeping_of
from perfloop_loadgen.app.workplace import HERE, Workplace, workplace_of
from perfloop_loadgen.compare_cli import parse_positive
from perfloop_loadgen.config import PROFILES, LoadTestConfig
from perfloop_loadgen.config.from_url import OneRequest, config_of_url, is_url
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.config.model import load_test_schema
from perfloop_loadgen.imports import FORMS
from perfloop_loadgen.report_flags import Reports, report_files
from perfloop_loadgen.reporters.comparison import comparison_schema
from perfloop_loadgen.reporters.gate import gate_schema
from perfloop_loadgen.run_flags import LoadFlags, RepeatFlags, RequestFlags, ShareFlags, WorkerFlags
from perfloop_loadgen.runs_cli import add_commands
from perfloop_loadgen.summary.document import report_schema

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

_CODES = (
    *(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.PORT_TAKEN, ExitCode.INVALID),
    *(ExitCode.STOPPED, ExitCode.NOT_WRITTEN, ExitCode.SOURCE_UNAVAILABLE, ExitCode.STORE_FAILED),
    ExitCode.UNDECIDED,
)
_SCHEMAS = {
    "report": report_schema,
    "test": load_test_schema,
    "comparison": comparison_schema,
    "gate": gate_schema,
}


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
class SearchSteps:
    """The steps of a breakpoint search, for a test without a section `load` of that shape."""

    start_rate: float = flag(
        "--start-rate", 10.0, parse=parse_positive, metavar="RATE", help="first rate, in requests/s"
    )
    step_seconds: float = flag("--step-seconds", 10.0, minimum=0.5, metavar="S", help="length of each step, in seconds")


@dataclass(frozen=True, slots=True)
class SchemaSubject:
    """What a schema describes."""

    of: str = flag(
        "--of", "report", choices=tuple(_SCHEMAS), help="a test file, or the JSON of a run, comparison or gate"
    )


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
    run = commands.add_parser("run", help="run the tests of a file, a ready-made profile, or requests to one URL")
    placed = (RepeatFlags, ShareFlags, WorkerFlags)
    _add(run, _run, LoadFlags, RequestFlags, *placed, Selection, Service, Reports, KeepFlags, StoreFlags)
    search = commands.add_parser("breakpoint", help="find the highest rate that keeps the thresholds")
    _add(search, _breakpoint, RequestFlags, Selection, Service, Reports, SearchSteps, KeepFlags, StoreFlags)
    for parser_of_tests in (run, search):
        parser_of_tests.add_argument(
            "file", nargs="?", metavar="FILE|URL", help="a YAML file with load_tests, or an address to request"
        )
    _add_comparisons(commands)
    importer = commands.add_parser("import", help="make a test file from OpenAPI, a recording, curl or Postman")
    importer.add_argument("form", choices=FORMS, help="the kind of source")
    importer.add_argument("source", help="the file, or - for the standard input; for curl also the command, in quotes")
    _add(importer, _import)
    add_commands(commands, _add)
    schema = commands.add_parser("schema", help="print the JSON schema of the test file or of the JSON report")
    _add(schema, _schema, SchemaSubject)
    return parser


def _add_comparisons(commands: argparse._SubParsersAction[Parser]) -> None:
    compare = commands.add_parser("compare", help="judge runs against runs: JSON reports, stored runs, baselines")
    compare_cli.describe_compare(compare)
    shared = (compare_cli.GateFlags, compare_cli.ComparisonReports, StoreFlags)
    _add(compare, _comparing(compare_cli.run_compare), *shared)
    sides = commands.add_parser("ab", help="run one test against two builds in turn and compare")
    compare_cli.describe_ab(sides)
    _add(sides, _comparing(compare_cli.run_ab), LoadFlags, Selection, compare_cli.Sides, *shared)
    gate = commands.add_parser("gate", help="run the tests of a file and compare them with a baseline, for a pipeline")
    _add(gate, _comparing(compare_cli.run_gate), LoadFlags, Selection, compare_cli.GateRuns, *shared, file=True)
    calibrate = commands.add_parser("calibrate", help="measure what this machine can generate, or the noise of a test")
    _add(calibrate, _comparing(compare_cli.run_calibrate), LoadFlags, Selection, compare_cli.Measurement)


def _comparing(
    command: Callable[[argparse.Namespace, compare_cli.Choose], ExitCode],
) -> Callable[[argparse.Namespace], ExitCode]:
    return lambda arguments: command(arguments, _chosen)


def _chosen(arguments: argparse.Namespace, url: str | None) -> list[LoadTestConfig]:
    configs = choose_tests(arguments.file, read_flags(Selection, arguments), url)
    return adjust_all(configs, read_flags(LoadFlags, arguments))


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
        rule = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--url: {url!r}: {rule}") from error
    return config


def _demo_url() -> str:
    url = local_url("demo")
    log.info("neither --url nor base_url is given: testing the demo service at %s", url)
    return url


def _run(arguments: argparse.Namespace) -> ExitCode:
    if arguments.file is None and arguments.dask and arguments.dask.endswith((".yml", ".yaml")):
        # `--dask FILE`: the flag stands alone.
        arguments.file, arguments.dask = arguments.dask, LOCAL
    flags = read_flags(RepeatFlags, arguments)
    repetition = Repetition.of(flags.repeat, flags.until_interval, flags.most, flags.within)
    configs = adjust_all(read_tests(arguments, read_flags(Selection, arguments)), read_flags(LoadFlags, arguments))
    shares, workers = read_flags(ShareFlags, arguments), read_flags(WorkerFlags, arguments)
    workplace = workplace_of(shares, workers, configs, repetition)
    return _session(arguments, configs, repetition, workplace)


def read_tests(arguments: argparse.Namespace, selection: Selection) -> list[LoadTestConfig]:
    """Return the tests of the file or profile, or the one that is made of a URL.

    Raises:
        ConfigError: flags do not go together, or something in a test is wrong.
    """
    service = read_flags(Service, arguments)
    request = read_flags(RequestFlags, arguments)
    subject: str | None = arguments.file
    if subject is None or not is_url(subject):
        if request != RequestFlags():
            raise ConfigError("--method, --header and --body are of a request to a URL: a file says its own")
        return choose_tests(None if subject is None else Path(subject), selection, service.url)
    if selection != Selection() or service.url is not None:
        raise ConfigError("give either a URL or one of --profile, --test and --url, not both")
    return [config_of_url(subject, OneRequest(request.method, request.headers, request.body))]


def adjust_all(configs: Sequence[LoadTestConfig], flags: LoadFlags) -> list[LoadTestConfig]:
    """Return every test with what the flags say about load and duration.

    Raises:
        ConfigError: with every flag that does not go with a test, for all of them.
    """
    adjusted_configs: list[LoadTestConfig] = []
    problems: list[str] = []
    for config in configs:
        try:
            adjusted_configs.append(adjusted(config, flags))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return adjusted_configs


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
    configs = read_tests(arguments, selection)
    for config in configs:
        config.load = config.load if isinstance(config.load, BreakpointConfig) else search
    return _session(arguments, configs)


def _session(
    arguments: argparse.Namespace,
    configs: Sequence[LoadTestConfig],
    repetition: Repetition | None = None,
    workplace: Workplace = HERE,
) -> ExitCode:
    service = read_flags(Service, arguments)
    web = Web(service.web_config_file, service.allowed_hosts, "loadgen")
    memory = Memory(keeping_of(read_flags(StoreFlags, arguments), read_flags(KeepFlags, arguments)))
    session = Session(configs, service.listen, report_files(arguments), web, repetition, workplace=workplace)
    return uvloop.run(session.go(memory))


def _import(arguments: argparse.Namespace) -> ExitCode:
    from perfloop_loadgen.app.importing import import_file  # its libraries would slow the start of every command

    made = import_file(arguments.form, arguments.source)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a file of tests is UTF-8, whatever the terminal is
    return _print(made.rstrip("\n"))


def _schema(arguments: argparse.Namespace) -> ExitCode:
    schema = _SCHEMAS[read_flags(SchemaSubject, arguments).of]()
    return _print(json.dumps(schema, indent=2, sort_keys=True))


def _print(text: str) -> ExitCode:
    print(text)  # noqa: T201 - the result is the program's output
    return ExitCode.OK
