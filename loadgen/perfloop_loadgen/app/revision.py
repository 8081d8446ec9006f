"""The commit of the working directory, by git itself."""

from __future__ import annotations

import re
import subprocess

_SECONDS = 1.5
# The repository's own settings must not make git start other programs.
_GIT = ("git", "-c", "core.fsmonitor=false", "--no-optional-locks")
_DESCRIBE = ("describe", "--always", "--exclude=*", "--abbrev=40", "--dirty")
_REVISION = re.compile(r"[0-9a-f]{40,64}(-dirty)?")


def read_revision() -> str:
    """Return the commit, with `-dirty` where files differ from it; nothing outside a repository or without git.

    In a repository so large that its files cannot be compared in time, the commit alone is returned.
    """
    return _answer(*_DESCRIBE) or _answer("rev-parse", "HEAD")


def _answer(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the words are fixed
            [*_GIT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.strip()
    return text if done.returncode == 0 and _REVISION.fullmatch(text) else ""
