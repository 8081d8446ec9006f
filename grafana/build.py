"""Write every dashboard as JSON, or check that what is committed is what would be written.

`python grafana/build.py` writes dashboards/*.json; with `--check` nothing is written, and a difference exits 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from boards import overview
from boards.board import build_dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).resolve().parent / "dashboards"
BOARDS = (overview.BOARD,)


def build_all() -> dict[str, str]:
    """Every board's file name and its JSON, the same bytes each time."""
    titles = {board.uid: board.title for board in BOARDS}
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"{board.uid}.json": encoder.encode(build_dashboard(board, titles).build()) + "\n" for board in BOARDS}


def find_differences(folder: Path, built: dict[str, str]) -> list[str]:
    """One sentence for each file of the folder that is not what the boards say."""
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    missing = [f"{name}: missing" for name in sorted(built.keys() - kept.keys())]
    extra = [f"{name}: no board makes it" for name in sorted(kept.keys() - built.keys())]
    stale = [
        f"{name}: not what its board says" for name in sorted(built.keys() & kept.keys()) if built[name] != kept[name]
    ]
    return missing + extra + stale


def write_all(folder: Path, built: dict[str, str]) -> None:
    """Make the folder hold exactly these files."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in built:
            path.unlink()
    for name, text in built.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Write, or with --check compare; 1 when the committed files differ."""
    parser = argparse.ArgumentParser(description="Generate the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a committed file differs")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the JSON lies (default: %(default)s)")
    options = parser.parse_args(argv)
    built = build_all()
    if not options.check:
        write_all(options.folder, built)
        print(f"{len(built)} dashboards written to {options.folder}")
        return 0
    differences = find_differences(options.folder, built)
    for difference in differences:
        print(f"{difference}; run `python grafana/build.py`", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
