"""What can be wrong with a hand-written file, collected until all of it can be told at once.

RulebookError   every problem of a file or of the live system, one sentence each
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How `build.py` ends."""

    OK = 0
    FAILED = 1
    USAGE = 2


class RulebookError(Exception):
    """One or more problems; `problems` holds a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
