"""The reply of a channel: a refusal as the real service words it, or the facts of what it accepted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.redaction import redact

if TYPE_CHECKING:
    from perfloop_inbox.messages import Facts

# Deeper than any notification; the standard parser itself gives up near 1000 levels.
_TOO_DEEP = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status and body of a rejected request."""

    status: int
    body: str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The content of an accepted request."""

    facts: Facts
    text: str
    payload: dict[str, Any]
    body: str | dict[str, Any]


def parse_json(body: bytes) -> Any:
    """Return the JSON value, or None where the bytes are not JSON.

    Unpaired surrogates, NaN and infinite numbers, which Python's parser accepts, are not JSON either: the API could not
    return them.
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except _TOO_DEEP:
        return None
    return value


def make_presentable(value: Any) -> Any:
    """Return a value that can be written as UTF-8 and shown to anybody.

    A lone surrogate, as of a broken mail, becomes U+FFFD; a webhook's address, a URL's password or a token is hidden.
    """
    if isinstance(value, str):
        return redact(value.encode("utf-8", "replace").decode())
    if isinstance(value, dict):
        return {make_presentable(key): make_presentable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [make_presentable(item) for item in value]
    return value
