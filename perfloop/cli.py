"""The `perfloop` command: its own commands, and each program's command line behind the program's name.

Only the standard library and the base package are imported here, so that `perfloop --help` works with every set of
extras; what a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from perfloop.extras import explain_missing
from perfloop.stack.settings import find_program_environment
from perfloop_base.cli import Parser, guard
from perfloop_base.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HANDLERS = "perfloop.stack.app"


@dataclass(frozen=True, slots=True)
class Program:
    """A command that hands everything behind its name on to the command line of another package.

    Attributes:
        help: what it does, in the list of commands.
        module: the module with its `main(argv)` and `build_parser()`.
        extra: the extra that installs what it needs.
    """

    help: str
    module: str
    extra: str


PROGRAMS: Mapping[str, Program] = {
    "exporter": Program("serve the metrics of this machine", "perfloop_exporter.cli", "exporter"),
    "analyzer": Program("find what is wrong and what to do about it", "perfloop_analyzer.cli", "analyzer"),
    "change": Program("record what was changed, and list it", "perfloop_analyzer.change_cli", "analyzer"),
    "check": Program("say whether all is ready for production, and what is not", "perfloop.check.cli", "stack"),
    "backup": Program("archive what cannot be made again, and restore it", "perfloop.backup.cli", "stack"),
    "report": Program("write a report: alerts, history, recommendations", "perfloop_analyzer.report_cli", "analyzer"),
    "prove": Program("replay an incident's load without and with a change", "perfloop.prove.cli", "stack"),
    "scale": Program("give a service the replicas that the analyzer computes", "perfloop.scale.cli", "loadgen"),
    "fill": Program("write to the long-term store what it lacks of what Prometheus has", "perfloop.fill.cli", "stack"),
    "loadgen": Program("run and compare load tests", "perfloop_loadgen.cli", "loadgen"),
    "inbox": Program("receive Slack, PagerDuty and e-mail notifications locally", "perfloop_inbox.cli", "inbox"),
    "demo": Program("run the demo service", "perfloop_demo.service.cli", "demo"),
    "tour": Program("show the closed loop, in about nine minutes", "perfloop_demo.tour.cli", "demo"),
}


def _add_up(commands: Any) -> None:
    parser = commands.add_parser(
        "up",
        help="start the whole stack, or apply what changed in its configuration",
        description="Start the whole stack, wait until all is healthy, and print every URL. On a running stack: check "
        "the configuration, generate rules and dashboards from thresholds.yml and slos.yml, and reload what changed.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--docker", action="store_true", help="run in containers")
    mode.add_argument("--native", action="store_true", help="run as processes of this machine")
    parser.add_argument(
        "--no-demo", dest="demo", action="store_false", help="leave out the demo service and its steady load"
    )
    parser.add_argument(
        "--scale",
        action="store_true",
        help="a pair of Prometheus that writes to a long-term store, from which analyzer and Grafana read",
    )
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)


def _add_logs(commands: Any) -> None:
    parser = commands.add_parser("logs", help="show the log of one component")
    parser.add_argument("name", metavar="NAME", help="a component, as `perfloop status` names it")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the log grows")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="lines from the end (default: 100)")


def _add_stack_commands(commands: Any) -> None:
    init = commands.add_parser("init", help="write an editable copy of the configuration")
    init.add_argument("directory", metavar="DIR", help="the directory to write it into; made when it is missing")
    _add_up(commands)
    commands.add_parser("down", help="stop the whole stack; what was measured stays on disk")
    status = commands.add_parser("status", help="show each component: state, health, restarts")
    status.add_argument("--json", dest="as_json", action="store_true", help="for programs: one JSON object")
    _add_logs(commands)
    doctor = commands.add_parser("doctor", help="check what the stack needs, and what each component really uses")
    doctor.add_argument("--send-test", action="store_true", help="send one test notification through every channel")
    generate = commands.add_parser("generate", help="write the rules, alerts and dashboards that are stale")
    generate.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    completion = commands.add_parser("completion", help="print the completion script of a shell")
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def build_parser(programs: Mapping[str, Parser] | None = None) -> Parser:
    """Return the parser of every command.

    Args:
        programs: the parsers of programs, whose flags become part of this one: shell completion needs them.
    """
    parser = Parser(
        prog="perfloop",
        description="The performance loop: export, alert, load-test, analyze, recommend, prove.",
        epilog="`perfloop COMMAND --help` shows the flags of a command. docs/stack.md lists the exit codes.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    _add_stack_commands(commands)
    for name, program in PROGRAMS.items():
        whole = (programs or {}).get(name)
        if whole is None:
            commands.add_parser(name, help=program.help, add_help=False)
        else:
            commands.add_parser(name, help=program.help, add_help=False, parents=[whole])
    return parser


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    """Turn the import of a library that is missing into a ConfigError that names its extra."""
    try:
        yield
    except ImportError as error:
        sentence = explain_missing(error, extra)
        if sentence is None:
            raise
        raise ConfigError(sentence) from None


def _run_program(name: str, arguments: list[str]) -> int:
    program = PROGRAMS[name]
    with _needing(program.extra):  # the run too: programs import their libraries late, when there is something to do
        run: Callable[[list[str]], int] = import_module(program.module).main
        for variable, value in find_program_environment(os.environ).items():
            os.environ.setdefault(variable, value)
        return int(run(arguments))


def _find_parsers() -> dict[str, Parser]:
    """Return the parser of each program whose extra is installed; the others complete by name alone."""
    parsers = {}
    for name, program in PROGRAMS.items():
        try:
            module = import_module(program.module)
        except ImportError as error:
            if explain_missing(error, program.extra) is None:
                raise
        else:
            parsers[name] = module.build_parser()
    return parsers


def render_completion(shell: str) -> str:
    """Return the script that completes every command and flag, those of the programs included, in a shell."""
    with _needing("stack"):
        script: str = import_module("shtab").complete(build_parser(_find_parsers()), shell)
    return script


def _run_command(arguments: list[str]) -> int:
    if not arguments:
        build_parser().print_help(sys.stderr)
        return ExitCode.USAGE
    options = build_parser().parse_args(arguments)
    if options.command == "completion":
        sys.stdout.write(render_completion(options.shell) + "\n")
        return ExitCode.OK
    with _needing("stack"):
        handlers = import_module(_HANDLERS)
    return int(handlers.COMMANDS[options.command](options))


def main(argv: list[str] | None = None) -> int:
    """Run `perfloop …` and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] in PROGRAMS:
        return guard("perfloop", lambda: _run_program(arguments[0], arguments[1:]))
    return guard("perfloop", lambda: _run_command(arguments))
