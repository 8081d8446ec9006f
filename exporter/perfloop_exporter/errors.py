"""Every error of the exporter, and what the process ends with.

ExporterError
├── UsageError       a flag or a configuration file is wrong: every problem at once
├── ListenError      an address cannot be listened on
└── CollectorError   one collector has no answer: a file is damaged or refused
    └── NoDataError  this machine does not have the thing at all
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What the process ends with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANNOT_LISTEN = 3


class ExporterError(Exception):
    """The root: whatever the exporter raises on purpose is one of these."""

    exit_code = ExitCode.FAILED


class UsageError(ExporterError):
    """Flags or a configuration file break a rule; `problems` holds one sentence each."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ListenError(ExporterError):
    """The address is taken, or is not one of this machine's."""

    exit_code = ExitCode.CANNOT_LISTEN


class CollectorError(ExporterError):
    """A collector cannot tell its metrics this time."""


class NoDataError(CollectorError):
    """The machine lacks what the collector looks at; said quietly, since it is no fault."""
