"""Write every dashboard as JSON, or check that what is committed is what would be written.

`python -m perfloop_boards` writes dashboards/*.json, and panels.json that says which panel shows which signal.
With `--check` nothing is written, and a difference exits 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from perfloop_base.shipped import shipped_root
from perfloop_boards import (
    alerts,
    analysis,
    database_cache,
    llm,
    load_test,
    overview,
    recommendations,
    service,
    stack,
    system,
)
from perfloop_boards.board import build_dashboard, locate_signals

ROOT = shipped_root() / "grafana"
MODULES = (overview, service, system, llm, database_cache, load_test, analysis, recommendations, alerts, stack)
BOARDS = tuple(module.BOARD for module in MODULES)


def build_dashboards() -> dict[str, str]:
    """Every board's file name and its JSON, the same bytes each time."""
    titles = {board.uid: board.title for board in BOARDS}
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"{board.uid}.json": encoder.encode(build_dashboard(board, titles).build()) + "\n" for board in BOARDS}


def build_signals() -> str:
    """Which panel of which board shows each signal: alerts link there."""
    places = {signal: place for board in BOARDS for signal, place in locate_signals(board).items()}
    return json.dumps({"signals": places}, indent=2, sort_keys=True) + "\n"


def build_all() -> dict[Path, str]:
    """Every file that is generated, by its place under grafana/."""
    boards = {Path("dashboards") / name: text for name, text in build_dashboards().items()}
    return {**boards, Path("panels.json"): build_signals()}


def find_differences(root: Path, built: dict[Path, str]) -> list[str]:
    """One sentence for each file under grafana/ that is not what the boards say."""
    kept = {path.relative_to(root): path.read_text(encoding="utf-8") for path in _generated(root)}
    missing = [f"{name}: missing" for name in sorted(built.keys() - kept.keys())]
    extra = [f"{name}: no board makes it" for name in sorted(kept.keys() - built.keys())]
    common = sorted(built.keys() & kept.keys())
    return missing + extra + [f"{name}: not what its board says" for name in common if built[name] != kept[name]]


def write_all(root: Path, built: dict[Path, str]) -> None:
    """Make the generated files under grafana/ exactly these."""
    (root / "dashboards").mkdir(parents=True, exist_ok=True)
    for path in _generated(root):
        if path.relative_to(root) not in built:
            path.unlink()
    for name, text in built.items():
        (root / name).write_text(text, encoding="utf-8")


def _generated(root: Path) -> list[Path]:
    return [path for path in (*(root / "dashboards").glob("*.json"), root / "panels.json") if path.exists()]


def main(argv: list[str] | None = None) -> int:
    """Write, or with --check compare; 1 when the committed files differ."""
    parser = argparse.ArgumentParser(description="Generate the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a committed file differs")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the folder that holds dashboards/ (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    built = build_all()
    if not options.check:
        write_all(options.root, built)
        sys.stdout.write(f"{len(BOARDS)} dashboards written to {options.root / 'dashboards'}\n")
        return 0
    differences = find_differences(options.root, built)
    for difference in differences:
        sys.stderr.write(f"{difference}; run `python -m perfloop_boards`\n")
    return 1 if differences else 0
