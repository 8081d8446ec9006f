"""The command line: flags in, exit code out."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

from perfloop_analyzer.answers import to_json
from perfloop_analyzer.app import replay_past, run_once, serve, write_report
from perfloop_analyzer.config import (
    AnalysisConfig,
    EffortConfig,
    ReplayConfig,
    ReportConfig,
    RunConfig,
    TargetConfig,
    WebConfig,
)
from perfloop_analyzer.recommend.recommendation import EFFORT_STEPS, PEOPLES_STEPS, STATES
from perfloop_analyzer.replay import certificate_lines, show_progress
from perfloop_analyzer.report_config import ReportsConfig
from perfloop_analyzer.reporters.formatting import clock
from perfloop_analyzer.reporters.terminal import print_recommendations, print_result
from perfloop_analyzer.running import LastResult, open_records
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.quantities import span
from perfloop_base.terminal import show_lines
from perfloop_base.visible import visible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

PROGRAM = "perfloop analyzer"
CODES = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.PORT_TAKEN,
    ExitCode.NOT_RUNNING,
    ExitCode.SOURCE_UNAVAILABLE,
    ExitCode.STORE_FAILED,
    ExitCode.INTERRUPTED,
)
STEP_HELP = {
    "accept": "accept a recommendation: it will be implemented",
    "implement": "mark a recommendation as implemented: from now on its effect is measured",
    "dismiss": "dismiss a recommendation: it will not be implemented",
    "reopen": "return a recommendation to the state open",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guard(PROGRAM, lambda: _run_command(argv))


def _run_command(argv: list[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    set_up_logs(arguments)
    return COMMANDS[arguments.command](arguments)


def build_parser() -> Parser:
    """Return the parser of every command and flag."""
    parser = Parser(
        prog=PROGRAM,
        description="Find what is wrong, and what to do about it.",
        epilog=exit_codes(*CODES),
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    _add_analyses(commands)
    listing = commands.add_parser("recommendations", help="list the recommendations of the running analyzer")
    listing.add_argument("--state", choices=sorted(STATES), help="only those in this state")
    listing.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    steps = [commands.add_parser(step, help=STEP_HELP[step]) for step in PEOPLES_STEPS]
    for step in steps:
        step.add_argument("id", metavar="ID", help="the recommendation's id, as `recommendations` prints it")
    for name in EFFORT_STEPS:
        add_flags(commands.choices[name], EffortConfig)
    for inner in (listing, *steps):
        add_flags(inner, TargetConfig, "the running analyzer")
    for inner in commands.choices.values():
        add_log_flags(inner)
    return parser


def _add_analyses(commands: Any) -> None:
    run = commands.add_parser("run", help="run the service: analyze continuously, serve results")
    once = commands.add_parser("once", help="analyze once and print the result")
    once.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    report = commands.add_parser("report", help="analyze once and write a self-contained HTML report")
    report.add_argument("--html", type=Path, required=True, metavar="FILE", help="the file to write")
    for parser in (run, once, report):
        add_flags(parser, RunConfig, "analysis")
    past = commands.add_parser("replay", help="analyze a Prometheus's past: what would have been found, and when")
    past.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    add_flags(past, ReplayConfig)
    add_flags(past, AnalysisConfig, "analysis")
    add_flags(run, WebConfig, "web server")
    add_flags(run, ReportsConfig, "reports")
    add_flags(report, ReportConfig, "report")


def _run(arguments: argparse.Namespace) -> int:
    reports = read_flags(ReportsConfig, arguments)
    asyncio.run(serve(read_flags(RunConfig, arguments), read_flags(WebConfig, arguments), reports))
    return ExitCode.OK


def _once(arguments: argparse.Namespace) -> int:
    result = asyncio.run(run_once(read_flags(RunConfig, arguments)))
    if arguments.as_json:
        _print_json(result.as_dict())
    else:
        print_result(result, Console())
    # A result in which nothing was seen is no good news.
    return ExitCode.OK if result.health else ExitCode.SOURCE_UNAVAILABLE


def _report(arguments: argparse.Namespace) -> int:
    page, is_seen = asyncio.run(write_report(read_flags(RunConfig, arguments), read_flags(ReportConfig, arguments)))
    try:
        arguments.html.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html: {arguments.html} cannot be written: {error.strerror}") from error
    return ExitCode.OK if is_seen else ExitCode.SOURCE_UNAVAILABLE


def _replay(arguments: argparse.Namespace) -> int:
    with show_progress(Console(stderr=True)) as watch:
        journal = asyncio.run(
            replay_past(read_flags(AnalysisConfig, arguments), read_flags(ReplayConfig, arguments), watch)
        )
    if arguments.as_json:
        _print_json(journal.as_dict())
    else:
        show_lines(certificate_lines(journal))
    if journal.problem is not None:
        raise journal.problem
    return ExitCode.OK if journal.is_whole else ExitCode.INTERRUPTED


def _recommendations(arguments: argparse.Namespace) -> int:
    now = time.time()
    with open_records(read_flags(TargetConfig, arguments)) as found:
        listed, last = found.recommendations(arguments.state), found.last_result(now)
    if last.is_old:
        # To the errors: what is printed as JSON stays JSON.
        Console(stderr=arguments.as_json).print(_silence(last, now), highlight=False, markup=False, soft_wrap=True)
    if arguments.as_json:
        _print_json([recommendation.as_dict() for recommendation in listed])
    else:
        print_recommendations(listed, Console())
    return ExitCode.OK


def _silence(last: LastResult, now: float) -> str:
    """Return since when the analyzer has no result, and what that means for what follows."""
    who = "" if last.answers else "The analyzer does not answer: "
    if last.at is None:
        return f"{who or 'The analyzer has '}no result yet."
    since = f"no result since {clock(last.at)} ({span(now - last.at)})"
    return f"{who}{since if who else since.capitalize()}. What follows was recommended then."


def _transition(arguments: argparse.Namespace) -> int:
    takes_effort = arguments.command in EFFORT_STEPS
    hours = read_flags(EffortConfig, arguments).effort_hours if takes_effort else None
    with open_records(read_flags(TargetConfig, arguments)) as found:
        recommendation = found.transition(arguments.id, arguments.command, time.time(), hours)
    line = visible(f"{recommendation.id} is now {recommendation.state}")
    Console().print(line, highlight=False, markup=False, soft_wrap=True)
    return ExitCode.OK


def _print_json(value: Any) -> None:
    sys.stdout.buffer.write(to_json(value, orjson.OPT_INDENT_2) + b"\n")


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "once": _once,
    "report": _report,
    "replay": _replay,
    "recommendations": _recommendations,
    **dict.fromkeys(PEOPLES_STEPS, _transition),
}
