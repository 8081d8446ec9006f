"""What can go wrong, and the exit code of each.

LoadgenError
├── ConfigError          a test file, flag or imported document is wrong; carries every problem found
├── TargetError          the service under test can never be asked (no host, not http)
├── ListenError          the metrics address is taken or cannot be bound
├── QueryError           Prometheus or Grafana did not answer a question put to it
└── ReportError          a report could not be written
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What the process says to a pipeline when it ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    STOPPED = 4
    NOT_WRITTEN = 5
    NOT_LISTENING = 6


class LoadgenError(Exception):
    """The root of every error that this program raises on purpose."""

    exit_code = ExitCode.USAGE


class ConfigError(LoadgenError):
    """A configuration that breaks one or more rules; every problem is told at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class TargetError(LoadgenError):
    """An address that no request can be sent to."""


class ListenError(LoadgenError):
    """An address that the metrics page cannot be served on."""

    exit_code = ExitCode.NOT_LISTENING


class QueryError(LoadgenError):
    """A question that Prometheus or Grafana did not answer."""

    exit_code = ExitCode.INVALID


class ReportError(LoadgenError):
    """A report that could not be written to its place."""

    exit_code = ExitCode.NOT_WRITTEN
