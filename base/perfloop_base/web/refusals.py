"""The answer to a request that the program never sees."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """A status, one sentence as plain text (without its line end), and the headers that the status asks for."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()
