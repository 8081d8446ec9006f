"""The commands about stored runs: `runs`, `show`, `merge`, `baseline set|list|rm`, `history`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from perfloop_base.flags import flag, read_flags
from perfloop_loadgen.app.merge import merge_runs
from perfloop_loadgen.app.remembered import (
    list_baselines,
    list_runs,
    remove_baseline,
    set_baseline,
    show_run,
    write_history,
)
from perfloop_loadgen.app.store_flags import ListFlags, StoreFlags
from perfloop_loadgen.report_flags import Reports, report_files
from perfloop_loadgen.store.references import FORMS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from perfloop_base.cli import Parser
    from perfloop_base.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Limit:
    """How many runs are listed."""

    limit: int = flag("--limit", 20, minimum=1, metavar="N", help="list at most so many runs")


@dataclass(frozen=True, slots=True)
class HistoryOut:
    """Where the page of the stored runs goes."""

    out: Path = flag("--out", parse=Path, help="the page, one HTML file")


class Add(Protocol):
    """Adds the flags that a command takes, and says what runs it."""

    def __call__(
        self, parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], ExitCode], *flags: type
    ) -> None:
        """Do so."""


def add_commands(commands: argparse._SubParsersAction[Parser], add: Add) -> None:
    """Add the commands to those of the program."""
    runs = commands.add_parser("runs", help="list the stored runs, the newest first")
    _add_json(runs)
    add(runs, _runs, ListFlags, Limit, StoreFlags)
    shown = commands.add_parser("show", help="print a stored run, or write reports of it")
    shown.add_argument("run", metavar="RUN", help=FORMS)
    _add_json(shown)
    add(shown, _show, Reports, StoreFlags)
    merged = commands.add_parser("merge", help="make one run of the shares of a load, and judge it")
    merged.add_argument("runs", metavar="FILE|RUN", nargs="*", help=f"JSON reports of shares, or stored runs: {FORMS}")
    add(merged, _merge, ListFlags, Reports, StoreFlags)
    _add_baseline(commands.add_parser("baseline", help="runs that others are compared with, under names"), add)
    history = commands.add_parser("history", help="write a page of the stored runs, with the changes over them")
    add(history, _history, HistoryOut, ListFlags, StoreFlags)


def _add_baseline(parser: Parser, add: Add) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    put = actions.add_parser("set", help="make stored runs the baseline of a name")
    put.add_argument("name", metavar="NAME")
    put.add_argument("runs", metavar="RUN", nargs="+", help=FORMS)
    add(put, _set_baseline, StoreFlags)
    listed = actions.add_parser("list", help="list the baselines")
    _add_json(listed)
    add(listed, _list_baselines, StoreFlags)
    gone = actions.add_parser("rm", help="forget a baseline; its runs stay")
    gone.add_argument("name", metavar="NAME")
    add(gone, _remove_baseline, StoreFlags)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def _runs(arguments: argparse.Namespace) -> ExitCode:
    limit, which = read_flags(Limit, arguments).limit, read_flags(ListFlags, arguments)
    return list_runs(read_flags(StoreFlags, arguments), which, limit, as_json=arguments.as_json)


def _show(arguments: argparse.Namespace) -> ExitCode:
    store = read_flags(StoreFlags, arguments)
    return show_run(store, arguments.run, report_files(arguments), as_json=arguments.as_json)


def _merge(arguments: argparse.Namespace) -> ExitCode:
    files, store = report_files(arguments), read_flags(StoreFlags, arguments)
    return merge_runs(store, arguments.runs, read_flags(ListFlags, arguments), files)


def _set_baseline(arguments: argparse.Namespace) -> ExitCode:
    return set_baseline(read_flags(StoreFlags, arguments), arguments.name, arguments.runs)


def _list_baselines(arguments: argparse.Namespace) -> ExitCode:
    return list_baselines(read_flags(StoreFlags, arguments), as_json=arguments.as_json)


def _remove_baseline(arguments: argparse.Namespace) -> ExitCode:
    return remove_baseline(read_flags(StoreFlags, arguments), arguments.name)


def _history(arguments: argparse.Namespace) -> ExitCode:
    out = read_flags(HistoryOut, arguments).out
    return write_history(read_flags(StoreFlags, arguments), read_flags(ListFlags, arguments), out)
