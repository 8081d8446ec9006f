"""The answer to a request that the program never sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection


class Refusal(NamedTuple):
    """A status, one sentence as plain text (without its line end), and the headers that the status asks for."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


def length_refusal(names: Collection[str]) -> Refusal | None:
    """Return why a request with these headers (names in lower case) is refused: its end could be seen in two places."""
    if "transfer-encoding" in names and "content-length" in names:  # RFC 9112, section 6.3
        return Refusal(400, "a request has a Content-Length or a Transfer-Encoding, not both")
    return None
