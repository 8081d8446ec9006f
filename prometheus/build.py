"""Write rules/ and alerts/ from thresholds.yml; `--check` says what differs instead of writing.

python prometheus/build.py            write the generated files
python prometheus/build.py --check    exit 1 where a generated file is not what the sources give
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rulebook.errors import ExitCode, RulebookError
from rulebook.rendering import render_yaml
from rulebook.threshold_rules import alert_groups, recording_groups
from rulebook.thresholds import read_thresholds

ROOM = Path(__file__).resolve().parent


def generate(room: Path) -> dict[str, str]:
    """Return every generated file of the room: its path inside the room and its text."""
    thresholds = read_thresholds(room / "thresholds.yml")
    return {
        "rules/thresholds.yml": render_yaml("thresholds.yml", {"groups": recording_groups(thresholds)}),
        "alerts/thresholds.yml": render_yaml("thresholds.yml", {"groups": alert_groups(thresholds)}),
    }


def stale_files(room: Path, generated: dict[str, str]) -> list[str]:
    """Return a sentence for every file that is not what the sources give."""
    return [
        f"prometheus/{name}: differs from what its sources give; run `python prometheus/build.py`."
        for name, text in generated.items()
        if not (room / name).is_file() or (room / name).read_text(encoding="utf-8") != text
    ]


def write_files(room: Path, generated: dict[str, str]) -> None:
    """Write the files that changed."""
    for name, text in generated.items():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_text(text, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Generate or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="say what differs, write nothing")
    options = parser.parse_args(argv)
    try:
        generated = generate(ROOM)
    except RulebookError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.USAGE
    if not options.check:
        write_files(ROOM, generated)
        return ExitCode.OK
    stale = stale_files(ROOM, generated)
    sys.stderr.write("".join(f"{sentence}\n" for sentence in stale))
    return ExitCode.FAILED if stale else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
