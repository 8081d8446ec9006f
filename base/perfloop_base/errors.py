"""The exit codes of every command, and the errors that all programs share.

PerfloopError
├── ConfigError     flags, the environment or a configuration file break rules; carries every problem found
├── ListenError     an address is taken or cannot be bound
├── StartError      something that the program needs (a database, a directory) did not answer
└── StoreError      the program's database is locked, full or unreachable
    └── NewerStoreError   a newer version wrote it: it is left alone

Each program derives its own errors from these.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What a command of any program ends with; a code means the same everywhere."""

    OK = 0
    FAILED = 1  # a check, a gate or the command itself failed
    USAGE = 2  # wrong flags, environment or configuration
    PORT_TAKEN = 3  # an address is taken or cannot be bound
    PROGRAM_MISSING = 4  # a program is neither installed nor downloadable
    BUSY = 5  # another command is starting or stopping the stack
    NOT_RUNNING = 6  # no stack runs here
    UNHEALTHY = 7  # a component is not healthy
    DOCKER = 8  # the Docker Engine or Compose refused
    INVALID = 9  # a load test proves nothing: the generator, not the service, was the limit
    STOPPED = 10  # a load test was stopped before its end
    NOT_WRITTEN = 11  # a report could not be written
    SOURCE_UNAVAILABLE = 12  # Prometheus gave no usable answer
    STORE_FAILED = 13  # a database (the analyzer's, or that of load tests) could not be read or written
    UNDECIDED = 14  # a comparison cannot tell with so few runs, or not everything could be checked
    INTERRUPTED = 130  # Ctrl+C: 128 and the number of SIGINT, as a shell reports it


class PerfloopError(Exception):
    """One sentence for a person, and the exit code for a script."""

    exit_code = ExitCode.FAILED


class ConfigError(PerfloopError):
    """A configuration breaks rules; `problems` holds one sentence for each."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ListenError(PerfloopError):
    """The address is taken, or is not one of this machine's."""

    exit_code = ExitCode.PORT_TAKEN


class StartError(PerfloopError):
    """Something that the program needs did not answer."""


class StoreError(PerfloopError):
    """The database could not be read or written."""

    exit_code = ExitCode.STORE_FAILED


class NewerStoreError(StoreError):
    """A newer version wrote the database."""
