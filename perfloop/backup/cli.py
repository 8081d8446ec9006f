"""The command `perfloop backup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.backup import app
from perfloop_base.cli import Parser, exit_codes, guard
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    import argparse

PROGRAM = "perfloop backup"
CODES = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.BUSY,
    ExitCode.DOCKER,
    ExitCode.NOT_WRITTEN,
    ExitCode.INTERRUPTED,
)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return guard(PROGRAM, lambda: _run(argv))


def build_parser() -> Parser:
    """Return the parser of every command."""
    parser = Parser(
        prog=PROGRAM,
        description="Archive what cannot be made again: the databases of analyzer and load tests, silences, proofs, "
        "and your configuration.",
        epilog=exit_codes(*CODES),
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    make = commands.add_parser("create", help="write a backup, while the stack runs or not")
    make.add_argument("target", metavar="TARGET", type=Path, help="a directory that is there, or the file to make")
    make.add_argument(
        "--with-secrets", action="store_true", help="include secrets/ and .env: who reads the file has them"
    )
    commands.add_parser("list", help="show the backups that were made")
    verify = commands.add_parser(
        "verify", help="read a backup through, wherever it is now, and record that it is there"
    )
    verify.add_argument("file", metavar="FILE", type=Path)
    back = commands.add_parser("restore", help="put the files of a backup where they belong; the stack must not run")
    back.add_argument("file", metavar="FILE", type=Path)
    back.add_argument("--replace", action="store_true", help="move files that differ aside")
    return parser


def _run(argv: list[str] | None) -> int:
    arguments: argparse.Namespace = build_parser().parse_args(argv)
    if arguments.action == "create":
        app.create(arguments.target, with_secrets=arguments.with_secrets)
    elif arguments.action == "list":
        app.list_backups()
    elif arguments.action == "verify":
        app.verify(arguments.file)
    else:
        app.bring_back(arguments.file, replace=arguments.replace)
    return ExitCode.OK
