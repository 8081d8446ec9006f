"""What can go wrong with a backup."""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class BackupError(PerfloopError):
    """A backup cannot be read or restored: one sentence with the reason."""


class NotWrittenError(BackupError):
    """A backup could not be written."""

    exit_code = ExitCode.NOT_WRITTEN
