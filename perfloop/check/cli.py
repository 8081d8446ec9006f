"""The command `perfloop check`."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from perfloop.check.app import check
from perfloop.check.checklist import EXIT_CODES
from perfloop.check.config import CheckConfig
from perfloop.check.document import readiness_schema, to_json
from perfloop.check.errors import NotWrittenError
from perfloop.check.findings import Part
from perfloop.check.rendering import render_junit, show_table
from perfloop_base.cli import Parser, exit_codes, guard
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.terminal import show, shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from perfloop.check.app import Result

PROGRAM = "perfloop check"
CODES = (ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_WRITTEN, ExitCode.UNDECIDED, ExitCode.INTERRUPTED)
_STDOUT = "-"


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return guard(PROGRAM, lambda: _run(argv))


def build_parser() -> Parser:
    """Return the parser of every flag."""
    parser = Parser(
        prog=PROGRAM,
        description="The checklist for production: what must be so before and after a deployment, each line with "
        "what to do. What could not be checked does not count as passed.",
        epilog=f"0: ready; 1: a line failed; 14: not everything could be checked. {exit_codes(*CODES)}",
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--pre", action="store_true", help="only the part before the deployment")
    part.add_argument("--post", action="store_true", help="only the part after it")
    for name, what in (("--json", "JSON"), ("--junit", "JUnit XML")):
        parser.add_argument(
            name, nargs="?", const=_STDOUT, metavar="FILE", help=f"write {what} there; without FILE print it"
        )
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of the JSON, and check nothing")
    add_flags(parser, CheckConfig, "what is checked")
    return parser


def _run(argv: list[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    if arguments.schema:
        show(json.dumps(readiness_schema(), indent=2, sort_keys=True))
        return ExitCode.OK
    if arguments.json == arguments.junit == _STDOUT:
        raise ConfigError("--json and --junit both print: give one of them a FILE")
    parts = [part for part in Part if getattr(arguments, part.value)] or list(Part)
    with _progress() as say:
        result = check(read_flags(CheckConfig, arguments), parts, say)
    _report(arguments, result)
    return EXIT_CODES[result.verdict]


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done on a terminal; a pipe gets nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield lambda text: status.update(shown(text))


def _report(arguments: argparse.Namespace, result: Result) -> None:
    """Print the table, or the form that is printed instead, and write the files.

    Raises:
        NotWrittenError: a file cannot be written.
    """
    texts = {"json": to_json, "junit": render_junit}
    printed = [text for name, text in texts.items() if getattr(arguments, name) == _STDOUT]
    if printed:
        sys.stdout.write(printed[0](result))
    else:
        show_table(result)
    for name, text in texts.items():
        if (file := getattr(arguments, name)) not in {None, _STDOUT}:
            try:
                Path(file).write_text(text(result), encoding="utf-8")
            except OSError as error:
                raise NotWrittenError(f"--{name}: {file} cannot be written: {error.strerror}") from error
