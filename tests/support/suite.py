"""The whole suite, four tests at a time; what fails then is judged again alone, on a machine that does nothing else.

Many tests start whole stacks and measure times. Where four of them share two cores, one may run out of its seconds
though nothing is broken; a fault fails both times. What failed first stays in the output.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console

_LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_GROUP = re.compile(r"@[\w.-]+$")
_TESTS_FAILED = 1
# Beyond these something is broken, and the rest need not be run.
_FEW = ["--maxfail", "10"]


def main(arguments: list[str]) -> int:
    """Run the suite; return pytest's exit code."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    code = subprocess.run([*pytest, "-n", "4", "--dist", "loadgroup", "--durations", "10"], check=False).returncode
    if code != _TESTS_FAILED:
        return code
    if not name_alone(_LAST_FAILED):  # no test failed: they were not collected alike, or a process ended
        return code
    Console().rule("the tests that failed while four ran at a time, again, one at a time")
    again = ["--last-failed", "--last-failed-no-failures", "none", *_FEW]
    return subprocess.run([*pytest, *again], check=False).returncode


def name_alone(last_failed: Path) -> bool:
    """Rewrite the list of failed tests with the names that they have alone; return whether there are any.

    xdist writes their group behind them, and names processes that could not collect them as if they were tests.

    Under the other names pytest finds none of them, and their failure would be forgotten.
    """
    failed: dict[str, bool] = json.loads(last_failed.read_text(encoding="utf-8"))
    named = {_GROUP.sub("", name): True for name in failed if ".py" in name}
    last_failed.write_text(json.dumps(named), encoding="utf-8")
    return bool(named)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
