"""The stack's errors and exit codes.

StackError
├── SettingsError     the environment or `.env` is wrong
├── PortsTakenError   a port is not free
├── ProgramError      a program cannot be had
├── BusyError         another `perfloop up` or `down` is at work
├── NotRunningError   no stack runs here
├── UnhealthyError    a part did not become healthy
└── DockerError       the Docker Engine or Compose said no
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `perfloop up`, `down`, `status`, `logs` and `doctor` end with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PORT_TAKEN = 3
    PROGRAM_MISSING = 4
    BUSY = 5
    NOT_RUNNING = 6
    UNHEALTHY = 7
    DOCKER = 8


class StackError(Exception):
    """One sentence: the thing, the value, and what to do."""

    code = ExitCode.FAILED


class SettingsError(StackError):
    """The environment or `.env` holds values that cannot be used."""

    code = ExitCode.USAGE


class PortsTakenError(StackError):
    """Ports that the stack needs are held by others."""

    code = ExitCode.PORT_TAKEN


class ProgramError(StackError):
    """A program is neither here nor to be had."""

    code = ExitCode.PROGRAM_MISSING


class BusyError(StackError):
    """Another command is starting or stopping the stack."""

    code = ExitCode.BUSY


class NotRunningError(StackError):
    """No stack runs here."""

    code = ExitCode.NOT_RUNNING


class UnhealthyError(StackError):
    """A part did not become healthy in time."""

    code = ExitCode.UNHEALTHY


class DockerError(StackError):
    """The Docker Engine or Compose refused."""

    code = ExitCode.DOCKER
