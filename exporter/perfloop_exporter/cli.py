"""The command line: node_exporter's grammar, read into settings."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING, NoReturn

from perfloop_exporter import logs
from perfloop_exporter.app import run, version
from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.config import (
    DEFAULT_DEADLINE_SECONDS,
    DEFAULT_LISTEN,
    CollectorSettings,
    Paths,
    Settings,
    WebSettings,
)
from perfloop_exporter.durations import parse_duration
from perfloop_exporter.errors import ExitCode, ExporterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_exporter.collectors.spec import Spec


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError([message])


def _duration(text: str) -> float:
    try:
        return parse_duration(text, "")
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.problems[0].removeprefix("--collector.: ")) from error


def build_parser() -> argparse.ArgumentParser:
    """Every flag there is."""
    parser = _Parser(
        prog="perfloop exporter",
        usage="perfloop exporter [flags]",
        description="Tell how this machine is doing, under node_exporter's names and with its flags.",
        epilog="Each collector also takes --collector.NAME.deadline=DURATION in place of --collector.deadline.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"perfloop exporter, version {version()}")
    _add_web(parser)
    _add_paths(parser)
    parser.add_argument("--log.level", choices=logs.LEVELS, default="info", help="least level that is logged")
    parser.add_argument(
        "--log.format", choices=("logfmt", "json"), default="logfmt", help="how a line of the log looks"
    )
    group = parser.add_argument_group("collectors")
    group.add_argument(
        "--collector.disable-defaults", action="store_true", help="run only the collectors that are named by a flag"
    )
    group.add_argument(
        "--collector.deadline",
        type=_duration,
        default=DEFAULT_DEADLINE_SECONDS,
        metavar="DURATION",
        help="how long a scrape waits for one collector (default: 2s)",
    )
    for spec in SPECS:
        _add_collector(group, spec)
    return parser


def _add_web(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("web")
    add = group.add_argument
    add("--web.listen-address", action="append", metavar="ADDR", help=f"HOST:PORT; may be repeated ({DEFAULT_LISTEN})")
    add("--web.telemetry-path", default="/metrics", metavar="PATH", help="where the metrics are (default: /metrics)")
    add("--web.config.file", default="", metavar="FILE", help="TLS and passwords, in exporter-toolkit's format")
    add(
        "--web.max-requests",
        type=int,
        default=40,
        metavar="N",
        help="most scrapes at once, 0 for no limit (default: 40)",
    )
    add("--web.disable-exporter-metrics", action="store_true", help="leave out process_*")


def _add_paths(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("paths")
    for name, default in (("procfs", "/proc"), ("sysfs", "/sys"), ("rootfs", "/"), ("udev.data", "/run/udev/data")):
        group.add_argument(
            f"--path.{name}", default=default, metavar="DIR", help=f"where it is mounted (default: {default})"
        )


def _add_collector(group: argparse._ArgumentGroup, spec: Spec) -> None:
    state = "on" if spec.default else "off"
    flag = f"--collector.{spec.name}"
    group.add_argument(flag, action=argparse.BooleanOptionalAction, help=f"{spec.help} (default: {state})")
    group.add_argument(f"{flag}.deadline", type=_duration, help=argparse.SUPPRESS)
    for option in spec.options:
        names = [f"{flag}.{option.name}"]
        if (spec.name, option.name) == ("thresholds", "file"):
            names.append("--thresholds.file")
        if isinstance(option.default, bool):
            group.add_argument(*names, action=argparse.BooleanOptionalAction, help=option.help)
        else:
            action = "append" if option.repeats else "store"
            group.add_argument(*names, metavar="TEXT", action=action, help=option.help)


def _suggest(word: str, parser: argparse.ArgumentParser) -> str:
    """The known flag that a misspelt one resembles."""
    known = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001  # argparse has no other way to list its flags
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.92)  # most of every name is the same
    return f"; did you mean {near[0]}?" if near else ""


def read_settings(argv: list[str]) -> Settings:
    """The settings that the flags ask for; everything wrong is told at once."""
    parser = build_parser()
    flags, unknown = parser.parse_known_args(argv)
    given = vars(flags)
    problems = [f"unknown flag or argument: '{word}'{_suggest(word, parser)}" for word in unknown]
    path = given["web.telemetry_path"]
    if not path.startswith("/"):
        problems.append(f"--web.telemetry-path: '{path}' does not begin with /")
    if given["web.max_requests"] < 0:
        problems.append(f"--web.max-requests: {given['web.max_requests']} is below 0")
    if problems:
        raise UsageError(problems)
    return Settings(
        web=WebSettings(
            listen=tuple(given["web.listen_address"] or (DEFAULT_LISTEN,)),
            telemetry_path=path,
            config_file=given["web.config.file"],
            max_requests=given["web.max_requests"],
            exporter_metrics=not given["web.disable_exporter_metrics"],
        ),
        collectors=_read_collectors(given),
        paths=Paths(given["path.procfs"], given["path.sysfs"], given["path.rootfs"], given["path.udev.data"]),
        log_level=given["log.level"],
        log_format=given["log.format"],
    )


def _read_collectors(given: Mapping[str, object]) -> CollectorSettings:
    def of(name: str) -> object:
        return given[f"collector.{name}".replace("-", "_")]

    enabled, options, deadlines = [], {}, {}
    for spec in SPECS:
        wanted = of(spec.name)
        if wanted or (wanted is None and spec.default and not of("disable-defaults")):
            enabled.append(spec.name)
        values = {option.name: of(f"{spec.name}.{option.name}") for option in spec.options}
        joined = {name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items()}
        options[spec.name] = {name: value for name, value in joined.items() if isinstance(value, str | bool)}
        deadline = of(f"{spec.name}.deadline")
        if isinstance(deadline, float):
            deadlines[spec.name] = deadline
    default = of("deadline")
    return CollectorSettings(
        enabled=tuple(enabled),
        known=tuple(spec.name for spec in SPECS),
        options=options,
        deadline_seconds=default if isinstance(default, float) else DEFAULT_DEADLINE_SECONDS,
        deadlines=deadlines,
    )


def _complain(sentences: Iterable[str], code: ExitCode) -> ExitCode:
    for sentence in sentences:
        sys.stderr.write(f"perfloop exporter: {sentence}\n")
    return code


def main(argv: list[str] | None = None) -> int:
    """Run the exporter; the exit codes stand in errors.py."""
    try:
        settings = read_settings(sys.argv[1:] if argv is None else argv)
        logs.set_up(settings.log_level, settings.log_format)
        return run(settings)
    except UsageError as error:
        return _complain(error.problems, error.exit_code)
    except ExporterError as error:
        return _complain((str(error),), error.exit_code)
    except SystemExit as asked:  # --help and --version
        return int(asked.code or ExitCode.OK)
