"""Errors: a share of the requests fails with a real 500."""

from __future__ import annotations

import random

from perfloop_demo.service.faults.rules import Rule


class InjectedError(Exception):
    """The failure that a request meets while the fault is on."""


class Errors:
    """A request fails in its handler with this probability."""

    rule = Rule("errors", "Errors", "number", "share of requests", 1, "This share of requests fails with status 500.")

    def __init__(self) -> None:
        self._ratio = 0.0

    def apply(self, value: float) -> None:
        """Let this share of the requests fail."""
        self._ratio = float(value)

    def strike(self) -> None:
        """Fail now, or not."""
        if self._ratio and random.random() < self._ratio:  # noqa: S311 - chance, not a secret
            message = f"injected failure (errors = {self._ratio:g})"
            raise InjectedError(message)
