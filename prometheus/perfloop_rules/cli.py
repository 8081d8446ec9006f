"""The command line: `perfloop generate` for developers, with the checks against recorded and live series.

python -m perfloop_rules                write the generated files
python -m perfloop_rules --check        list what is stale or could never work; exit 1 if anything is
python -m perfloop_rules --live URL     check every rule against the series of a running Prometheus
python -m perfloop_rules --record URL   write series/stack.txt from a running stack
python -m perfloop_rules --schemas DIR  write the JSON Schemas of thresholds.yml and slos.yml
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.cli import Parser, guard
from perfloop_base.errors import ExitCode
from perfloop_base.schemas import SCHEMAS
from perfloop_base.shipped import shipped_root
from perfloop_base.terminal import warn
from perfloop_rules.check import check_rule_files
from perfloop_rules.generation import PROMETHEUS, stale, write
from perfloop_rules.live import read_live
from perfloop_rules.notifications import check_notifications
from perfloop_rules.series import check_live, check_recorded, read_known, render_series
from perfloop_rules.tools import run_tools

if TYPE_CHECKING:
    from collections.abc import Sequence


def check(directory: Path) -> list[str]:
    """Return everything that is stale or could never work."""
    notifications = check_notifications(directory / "alertmanager" / "alertmanager.yml")
    problems, skipped = run_tools(directory)
    for sentence in skipped:
        warn(sentence)
    rules = check_rule_files(directory)
    # A rule that is not PromQL selects nothing that could be looked up.
    recorded = [] if rules else check_recorded(directory / PROMETHEUS)
    return [*stale(directory), *rules, *recorded, *notifications, *problems]


def record(directory: Path, url: str) -> None:
    """Write what a running stack publishes, without the series of foreign exporters."""
    _, foreign = read_known(directory / PROMETHEUS)
    live = {name: labels for name, labels in read_live(url, time.time()).items() if name not in foreign}
    (directory / PROMETHEUS / "series" / "stack.txt").write_text(render_series(live), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Generate or check; return the exit code."""
    return guard("perfloop_rules", lambda: _run(_parser().parse_args(argv)))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m perfloop_rules", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--directory", metavar="DIR", type=Path, default=shipped_root(), help="the configuration (default: %(default)s)"
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--check", action="store_true", help="list problems, write nothing")
    ways.add_argument("--live", metavar="URL", help="the running Prometheus to check the rules against")
    ways.add_argument("--record", metavar="URL", help="the running Prometheus whose series are recorded")
    ways.add_argument("--schemas", metavar="DIR", type=Path, help="where the JSON Schemas are written")
    return parser


def write_schemas(directory: Path) -> None:
    """Write the JSON Schema of each hand-written file of this package."""
    for name, schema in SCHEMAS.items():
        (directory / name).write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")


def _run(options: argparse.Namespace) -> int:
    problems: list[str] = []
    if options.check:
        problems = check(options.directory)
    elif options.live:
        problems = check_live(options.directory / PROMETHEUS, read_live(options.live, time.time()))
    elif options.record:
        record(options.directory, options.record)
    elif options.schemas:
        write_schemas(options.schemas)
    else:
        write(options.directory)
    for sentence in problems:
        warn(sentence)
    return ExitCode.FAILED if problems else ExitCode.OK
