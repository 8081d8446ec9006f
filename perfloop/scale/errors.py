"""What can go wrong with scaling."""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class ScaleError(PerfloopError):
    """The number of replicas could not be changed: one sentence with the reason."""


class NoAnswerError(PerfloopError):
    """There is no number of replicas to follow."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE


class BusyError(PerfloopError):
    """Another command scales the same service."""

    exit_code = ExitCode.BUSY
