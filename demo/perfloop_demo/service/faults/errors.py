"""Errors: a share of the requests fails with a real 500."""

from __future__ import annotations

import random

from perfloop_demo.service.faults.rules import Rule


class InjectedError(Exception):
    """A request failed because the fault is on."""


class Errors:
    """A request fails in its handler with this probability."""

    rule = Rule("errors", "Errors", "number", "share of requests", 1, "This share of requests fails with status 500.")

    def __init__(self) -> None:
        self._ratio = 0.0

    def apply(self, value: float) -> None:
        """Fail this share of the requests, from 0 to 1."""
        self._ratio = float(value)

    def maybe_inject_error(self) -> None:
        """Raise InjectedError with the probability that is set."""
        if self._ratio and random.random() < self._ratio:  # noqa: S311 - chance, not a secret
            raise InjectedError(f"errors = {self._ratio:g}")
