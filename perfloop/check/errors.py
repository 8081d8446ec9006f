"""What can go wrong with the command itself."""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class NotWrittenError(PerfloopError):
    """A report could not be written."""

    exit_code = ExitCode.NOT_WRITTEN
