"""What can go wrong with filling gaps."""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class ReadError(PerfloopError):
    """Prometheus or the store gave no usable answer to a query: one sentence with the reason."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE


class WriteError(PerfloopError):
    """The store did not take the samples: one sentence with the reason."""

    exit_code = ExitCode.NOT_WRITTEN
