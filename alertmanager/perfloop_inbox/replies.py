"""What a channel answers: a refusal with the real service's own words, or the facts of what it took."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfloop_inbox.messages import Facts

# Deeper than any notification; the standard parser itself gives up near 1000 levels.
_TOO_DEEP = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status and body of a request that is not taken."""

    status: int
    body: str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a taken request says."""

    facts: Facts
    text: str
    payload: dict[str, Any]
    body: str | dict[str, Any]


def parse_json(body: bytes) -> Any:
    """Return the JSON value, or None where the bytes are no JSON.

    Half characters, NaN and numbers beyond all bounds, which Python's parser lets pass, are no JSON either: they could
    not be shown again.
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except _TOO_DEEP:
        return None
    return value
