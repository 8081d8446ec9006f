"""Write rules/, alerts/ and tests/ from thresholds.yml, slos.yml and packs/; `--check` says what is wrong instead.

python prometheus/build.py            write the generated files
python prometheus/build.py --check    exit 1 where a generated file is not what the sources give
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rulebook.errors import ExitCode, RulebookError
from rulebook.generation import generate, read_sources, stale_files, write_files

ROOM = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Generate or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="say what differs, write nothing")
    options = parser.parse_args(argv)
    try:
        generated = generate(read_sources(ROOM))
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
