"""Write rules/ and alerts/ from thresholds.yml, slos.yml and packs/; `--check` says what differs instead of writing.

python prometheus/build.py            write the generated files
python prometheus/build.py --check    exit 1 where a generated file is not what the sources give
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rulebook import packs as pack_rules
from rulebook import slo_rules, threshold_rules
from rulebook.errors import ExitCode, RulebookError
from rulebook.packs import read_packs
from rulebook.pages import read_pages
from rulebook.rendering import render_yaml
from rulebook.slos import read_slos
from rulebook.thresholds import read_thresholds

ROOM = Path(__file__).resolve().parent


def generate(room: Path) -> dict[str, str]:
    """Return every generated file of the room: its path inside the room and its text."""
    thresholds = read_thresholds(room / "thresholds.yml")
    slos = read_slos(room / "slos.yml")
    pages = read_pages(room.parent / "grafana" / "panels.json")
    packs = read_packs(room / "packs", thresholds.limits)
    return {
        "rules/thresholds.yml": _groups("thresholds.yml", threshold_rules.recording_groups(thresholds)),
        "alerts/thresholds.yml": _groups("thresholds.yml", threshold_rules.alert_groups(thresholds, pages)),
        "rules/slos.yml": _groups("slos.yml", slo_rules.recording_groups(slos)),
        "alerts/slos.yml": _groups("slos.yml", slo_rules.alert_groups(slos)),
        "rules/packs.yml": _groups("packs/*.yml", pack_rules.recording_groups(packs)),
    } | {
        f"alerts/{pack.name}.yml": _groups(
            f"packs/{pack.name}.yml and thresholds.yml", [pack_rules.alert_group(pack, thresholds.limits)]
        )
        for pack in packs
    }


def _groups(source: str, groups: list[dict[str, Any]]) -> str:
    return render_yaml(source, {"groups": groups})


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
