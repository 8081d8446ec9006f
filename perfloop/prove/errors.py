"""What can go wrong with a proof."""

from __future__ import annotations

from perfloop_base.errors import PerfloopError


class ProofError(PerfloopError):
    """A proof cannot be made: one sentence with the reason."""
