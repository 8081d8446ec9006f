"""The stack's errors; their exit codes are those of every program (perfloop_base/errors.py).

PerfloopError
├── ConfigError           problems of the hand-written files, one sentence each
└── StackError
    ├── SettingsError     the environment, `.env` or the command line cannot be used
    ├── PortsTakenError   a port is not free
    ├── ProgramError      a program is neither installed nor downloadable
    ├── BusyError         another `perfloop up` or `down` is at work
    ├── NotRunningError   no stack runs here
    ├── UnhealthyError    a component did not become healthy
    └── DockerError       the Docker Engine or Compose refused
"""

from __future__ import annotations

from perfloop_base.errors import ConfigError, ExitCode, PerfloopError


class StackError(PerfloopError):
    """One sentence: the thing, the value, and what to do."""


class SettingsError(StackError, ConfigError):
    """The environment, `.env` or the command line holds values that cannot be used; one sentence for each."""

    exit_code = ExitCode.USAGE


class PortsTakenError(StackError):
    """Ports that the stack needs are held by others."""

    exit_code = ExitCode.PORT_TAKEN


class ProgramError(StackError):
    """A program is neither installed nor downloadable."""

    exit_code = ExitCode.PROGRAM_MISSING


class BusyError(StackError):
    """Another command is starting or stopping the stack."""

    exit_code = ExitCode.BUSY


class NotRunningError(StackError):
    """No stack runs here."""

    exit_code = ExitCode.NOT_RUNNING


class UnhealthyError(StackError):
    """A component did not become healthy in time."""

    exit_code = ExitCode.UNHEALTHY


class DockerError(StackError):
    """The Docker Engine or Compose refused."""

    exit_code = ExitCode.DOCKER
