"""Which Alertmanager runs: what a file in `secrets/` switches on needs the version that brought it."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_ANSWER_SECONDS = 10


class Version(NamedTuple):
    """Major and minor number; Alertmanager adds no option in a patch release."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


# Oldest for which the committed configuration is written: nothing is asked of it.
OLDEST = Version(0, 25)
EVENT_RECORDER = Version(0, 33)
EVENT_RECORDER_FEATURE = "event-recorder"
EVENT_RECORDER_FLAG = f"--enable-feature={EVENT_RECORDER_FEATURE}"


def parse_version(text: str) -> Version | None:
    """Return the version that stands in a text: what `--version` prints, an API's answer or the name of an image."""
    found = re.search(r"(?:^|version |:v?)(\d+)\.(\d+)", text)
    return Version(int(found[1]), int(found[2])) if found else None


@functools.cache
def read_version(program: Path) -> Version | None:
    """Return the version of a program; None where it cannot be run or says none."""
    try:
        done = subprocess.run(  # noqa: S603 - the stack's own Alertmanager
            [str(program), "--version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout + done.stderr)
