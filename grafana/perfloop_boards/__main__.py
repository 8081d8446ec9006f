"""`python -m perfloop_boards`: write the dashboards of a configuration directory, or check them."""

from __future__ import annotations

import sys
from pathlib import Path

from perfloop_base.cli import Parser, exit_codes, guard
from perfloop_base.errors import ExitCode
from perfloop_base.shipped import shipped_root
from perfloop_base.terminal import show, warn
from perfloop_boards.generation import stale, write


def main(argv: list[str] | None = None) -> int:
    """Write the dashboards, or with --check report what writing would change."""
    return guard("perfloop_boards", lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    ends = exit_codes(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE)
    parser = Parser(prog="perfloop_boards", description="Generate the Grafana dashboards.", epilog=ends)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a generated file differs")
    parser.add_argument(
        "--root",
        type=Path,
        default=shipped_root(),
        help="the configuration directory, with prometheus/ and grafana/ (default: %(default)s)",
    )
    options = parser.parse_args(argv)
    return _check(options.root) if options.check else _write(options.root)


def _check(root: Path) -> int:
    differences = stale(root)
    for difference in differences:
        warn(f"{difference} Run `python -m perfloop_boards`.")
    return ExitCode.FAILED if differences else ExitCode.OK


def _write(root: Path) -> int:
    changed = write(root)
    for path in changed:
        show(path)
    show(f"{len(changed)} generated files changed in {root / 'grafana'}")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
