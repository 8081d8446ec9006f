"""Write rules/, alerts/, tests/ and the runbook's page from thresholds.yml, slos.yml, packs/ and runbook.md.

python -m perfloop_rules                write the generated files
python -m perfloop_rules --check        say what is stale or could never work; exit 1 if anything is
python -m perfloop_rules --live URL     hold every rule against the series of a running Prometheus
python -m perfloop_rules --record URL   write series/stack.txt from a running stack
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from perfloop_base.shipped import shipped_root
from perfloop_rules.errors import ExitCode, RulebookError
from perfloop_rules.generation import generate, read_sources, stale_files, write_files
from perfloop_rules.live import read_live
from perfloop_rules.notifications import check_notifications
from perfloop_rules.series import check_live, check_recorded, read_known, render_series
from perfloop_rules.tools import ask_tools

if TYPE_CHECKING:
    from pathlib import Path

ROOM = shipped_root() / "prometheus"


def check(room: Path) -> list[str]:
    """Return everything that is stale or could never work."""
    stale = stale_files(room, generate(read_sources(room)))
    notifications = check_notifications(room.parent / "alertmanager" / "alertmanager.yml")
    complaints, skipped = ask_tools(room.parent)
    sys.stderr.write("".join(f"{sentence}\n" for sentence in skipped))
    return [*stale, *check_recorded(room), *notifications, *complaints]


def record(room: Path, url: str) -> None:
    """Write what a running stack publishes, less what foreign exporters do."""
    _, foreign = read_known(room)
    live = {name: labels for name, labels in read_live(url, time.time()).items() if name not in foreign}
    (room / "series" / "stack.txt").write_text(render_series(live), encoding="utf-8")


def act(options: argparse.Namespace) -> list[str]:
    """Do what the flags say; return what is wrong."""
    if options.check:
        return check(ROOM)
    if options.live:
        return check_live(ROOM, read_live(options.live, time.time()))
    if options.record:
        record(ROOM, options.record)
    else:
        write_files(ROOM, generate(read_sources(ROOM)))
    return []


def main(argv: list[str] | None = None) -> int:
    """Generate or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--check", action="store_true", help="say what is wrong, write nothing")
    ways.add_argument("--live", metavar="URL", help="a running Prometheus to hold the rules against")
    ways.add_argument("--record", metavar="URL", help="a running Prometheus whose series are written down")
    try:
        problems = act(parser.parse_args(argv))
    except RulebookError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.USAGE
    sys.stderr.write("".join(f"{sentence}\n" for sentence in problems))
    return ExitCode.FAILED if problems else ExitCode.OK
