"""Everything that can go wrong, as one tree, and the exit code of each.

AnalyzerError
├── ConfigError          a flag, a catalogue, a rule base or a thresholds file is wrong (all its problems at once)
├── SourceError          Prometheus gave no usable answer
│   ├── SourceUnavailable    it did not answer, or said 429, 5xx (trying again may help)
│   ├── QueryRejected        it refused the question: 400, 422 (trying again will not help)
│   └── BadAnswer            it answered with something that is no Prometheus answer
├── StoreError           the database is locked, full or unreachable
└── NotFoundError        no recommendation of that id
    └── TransitionError  the recommendation is in a state that does not allow this step
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What `perfloop analyzer` ends with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOURCE_UNAVAILABLE = 3
    STORE_FAILED = 4
    NOT_READY = 5
    FINDINGS = 6


class AnalyzerError(Exception):
    """Anything that the analyzer refuses or cannot do, said in one sentence."""

    exit_code = ExitCode.FAILED


class ConfigError(AnalyzerError):
    """A configuration is wrong; `problems` lists every reason."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class SourceError(AnalyzerError):
    """Prometheus gave no usable answer."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE


class SourceUnavailable(SourceError):  # noqa: N818 - reads as what happened
    """Prometheus did not answer in time, or asked to be left alone."""


class QueryRejected(SourceError):  # noqa: N818 - reads as what happened
    """Prometheus refused the expression."""


class BadAnswer(SourceError):  # noqa: N818 - reads as what happened
    """The answer is not what the Prometheus API promises."""


class StoreError(AnalyzerError):
    """The database could not be read or written."""

    exit_code = ExitCode.STORE_FAILED


class NotFoundError(AnalyzerError):
    """Nothing carries that id."""


class TransitionError(NotFoundError):
    """The recommendation's state does not allow this step."""
