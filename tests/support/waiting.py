"""Waiting for something that another program does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Far more than a quiet machine needs: a busy one must not make the tests fail.
PATIENCE_SECONDS = 240


def wait_for(probe: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true answer of `probe`, or fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)
