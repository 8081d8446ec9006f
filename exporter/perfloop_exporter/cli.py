"""The command line, with node_exporter's flags."""

from __future__ import annotations

import argparse
import os
import socket
from dataclasses import make_dataclass
from typing import TYPE_CHECKING

from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, flag, read_flags
from perfloop_exporter.app import run, version
from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.config import CollectorSettings, Flags, Settings
from perfloop_exporter.foreign_flags import add_foreign_flags, log_foreign_flags, rename
from perfloop_exporter.otlp import read_destination

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.collectors.spec import Spec
    from perfloop_exporter.otlp import Destination

# One flag per collector, hidden from the help, which would be a third longer; the epilog describes them.
_Deadlines = make_dataclass(
    "_Deadlines",
    [
        (
            spec.name,
            "float | None",
            flag(f"--collector.{spec.name}.deadline", None, parse=parse_positive_duration, help=argparse.SUPPRESS),
        )
        for spec in SPECS
    ],
    frozen=True,
)


def build_parser() -> Parser:
    """Return the parser of every flag."""
    parser = Parser(
        prog="perfloop exporter",
        usage="perfloop exporter [flags]",
        description="Export metrics of this machine under node_exporter's names and with its flags.",
        epilog="Each collector also takes --collector.NAME.deadline=DURATION, which overrides --collector.deadline. "
        + exit_codes(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.PORT_TAKEN),
    )
    parser.add_argument("--version", action="version", version=f"perfloop exporter, version {version()}")
    add_flags(parser, Flags)
    add_log_flags(parser)
    group = parser.add_argument_group("single collectors")
    for spec in SPECS:
        _add_collector(group, spec)
    add_flags(parser, _Deadlines)
    add_foreign_flags(parser)
    return parser


def _add_collector(group: argparse._ArgumentGroup, spec: Spec) -> None:
    name = f"--collector.{spec.name}"
    default = "enabled" if spec.default else "disabled"
    group.add_argument(name, dest=name, action=argparse.BooleanOptionalAction, help=f"{spec.help} (default: {default})")
    for option in spec.options:
        names = [f"{name}.{option.name}"]
        if option.flag:
            names.append(option.flag)
        if isinstance(option.default, bool):
            group.add_argument(*names, dest=names[0], action=argparse.BooleanOptionalAction, help=option.help)
        else:
            action = "append" if option.repeats else "store"
            group.add_argument(*names, dest=names[0], metavar="TEXT", action=action, help=option.help)


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings that parsed flags ask for.

    Raises:
        ConfigError: Flags break rules; all problems are reported together.
    """
    flags = read_flags(Flags, arguments)
    given = vars(arguments)
    deadlines = vars(read_flags(_Deadlines, arguments))
    enabled = [spec for spec in SPECS if _is_enabled(spec, given, disable_defaults=flags.collectors.disable_defaults)]
    return Settings(
        web=flags.web,
        collectors=CollectorSettings(
            enabled=tuple(spec.name for spec in enabled),
            known=tuple(spec.name for spec in SPECS),
            options={spec.name: _read_options(spec, arguments) for spec in SPECS},
            deadline_seconds=flags.collectors.deadline_seconds,
            deadlines={name: seconds for name, seconds in deadlines.items() if seconds is not None},
        ),
        paths=flags.paths,
        otlp=_read_otlp(flags.otlp.endpoint),
    )


def _read_otlp(endpoint: str) -> Destination | None:
    """Return where the metrics are sent as well; None without an endpoint.

    Raises:
        ConfigError: OpenTelemetry's variables cannot be used.
    """
    if not endpoint:
        return None
    # As Prometheus's own scrape of the exporter is labelled (prometheus.yml), on a machine that is known by its name.
    resource = {"service.name": "host", "service.instance.id": socket.gethostname()}
    return read_destination(os.environ, "--otlp.endpoint", endpoint, resource)


def _is_enabled(spec: Spec, given: Mapping[str, object], *, disable_defaults: bool) -> bool:
    wanted = given[f"--collector.{spec.name}"]
    return bool(wanted) or (wanted is None and spec.default and not disable_defaults)


def _read_options(spec: Spec, arguments: argparse.Namespace) -> dict[str, str | bool]:
    values = {option.name: getattr(arguments, f"--collector.{spec.name}.{option.name}") for option in spec.options}
    rename(spec.name, values, arguments)
    joined = {name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items()}
    return {name: value for name, value in joined.items() if isinstance(value, str | bool)}


def main(argv: list[str] | None = None) -> int:
    """Run the exporter until SIGTERM or SIGINT and return its exit code."""

    def command() -> int:
        arguments = build_parser().parse_args(argv)
        set_up_logs(arguments)
        log_foreign_flags(arguments)
        return run(read_settings(arguments))

    return guard("perfloop exporter", command)
