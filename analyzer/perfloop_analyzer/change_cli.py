"""The command line of changes: `perfloop change add` records what people did, `list` shows what was changed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

from perfloop_analyzer.answers import to_json
from perfloop_analyzer.config import TargetConfig
from perfloop_analyzer.reporters.terminal import print_changes
from perfloop_analyzer.running import open_records
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.visible import visible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

PROGRAM = "perfloop change"
CODES = (ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_RUNNING, ExitCode.STORE_FAILED)
_FIELDS = ("service", "version", "kind", "at", "title")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guard(PROGRAM, lambda: _run_command(argv))


def build_parser() -> Parser:
    """Return the parser of every command and flag."""
    parser = Parser(
        prog=PROGRAM,
        description="Record what was changed, so that what follows can be explained by it.",
        epilog=exit_codes(*CODES),
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    add = commands.add_parser("add", help="record a change of a service")
    add.add_argument("title", nargs="?", metavar="TEXT", help="what was done, in one line; not needed with --version")
    add.add_argument("--service", required=True, metavar="NAME", help="the service, as its label `service` names it")
    add.add_argument("--version", metavar="VERSION", help="the version that is deployed now")
    add.add_argument("--kind", metavar="WORD", help="a word (default: deployment with --version, else change)")
    add.add_argument("--at", metavar="MOMENT", help="when: Unix seconds or RFC 3339 (default: now)")
    listing = commands.add_parser("list", help="show what was changed within seven days, newest first")
    listing.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    for inner in (add, listing):
        add_flags(inner, TargetConfig, "the running analyzer")
        add_log_flags(inner)
    return parser


def _run_command(argv: list[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    set_up_logs(arguments)
    return COMMANDS[arguments.command](arguments)


def _add(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {name: getattr(arguments, name) for name in _FIELDS if getattr(arguments, name) is not None}
    with open_records(read_flags(TargetConfig, arguments)) as records:
        change = records.record_change(body, time.time())
    line = visible(f"recorded {change.id}: {change.service} {change.title}")
    Console().print(line, highlight=False, markup=False, soft_wrap=True)
    return ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    now = time.time()
    with open_records(read_flags(TargetConfig, arguments)) as records:
        changes = records.changes(now)
    if arguments.as_json:
        sys.stdout.buffer.write(to_json([one.as_dict() for one in changes], orjson.OPT_INDENT_2) + b"\n")
    else:
        print_changes(changes, now, Console())
    return ExitCode.OK


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {"add": _add, "list": _list}
