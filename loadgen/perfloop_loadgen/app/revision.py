"""The commit of the working directory, by git itself."""

from __future__ import annotations

import re
import subprocess

_SECONDS = 1.5
# The repository's own settings must not make git start other programs.
_GIT = ("git", "-c", "core.fsmonitor=false", "--no-optional-locks")
_COMMIT = ("rev-parse", "HEAD")
# Not `describe --dirty`, which locks the index whatever the flag above says: one that is killed for its time would
# leave the lock, and every later command of git would fail.
_CHANGES = ("status", "--porcelain", "--untracked-files=no")
_REVISION = re.compile(r"[0-9a-f]{40,64}")


def read_revision() -> str:
    """Return the commit, with `-dirty` where files differ from it; nothing outside a repository or without git.

    In a repository so large that its files cannot be compared in time, the commit alone is returned.
    """
    commit = _answer(*_COMMIT) or ""
    if not _REVISION.fullmatch(commit):
        return ""
    return f"{commit}-dirty" if _answer(*_CHANGES) else commit


def _answer(*words: str) -> str | None:
    """Return what git prints; None where it fails, or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the words are fixed
            [*_GIT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
