"""What can go wrong beside mistakes in hand-written files, which are `perfloop_base.errors.ConfigError`.

PerfloopError
└── UnreachableError   a Prometheus did not answer, or not as one
"""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class UnreachableError(PerfloopError):
    """Prometheus did not answer."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE
