"""Slow first token: the model waits before the first token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_demo.service.faults.rules import Rule

if TYPE_CHECKING:
    from perfloop_demo.service.language import BigramModel


class SlowFirstToken:
    """The model waits before the first token of every answer."""

    rule = Rule(
        "slow_first_token",
        "Slow first token",
        "number",
        "seconds",
        60,
        "The model waits this long before the first token of every answer.",
    )

    def __init__(self, model: BigramModel) -> None:
        self._model = model

    def apply(self, value: float) -> None:
        """Delay each first token by this many seconds."""
        self._model.first_token_delay_seconds = float(value)
