"""What can go wrong with a proof."""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class ProofError(PerfloopError):
    """A proof cannot be made: one sentence with the reason."""


class NoSourceError(ProofError):
    """Prometheus gave no usable answer."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE
