"""Keep credentials out of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key", "api_key", "apikey")
HIDDEN = "(hidden)"


def without_secrets(value: Any) -> Any:
    """Return the value with every text hidden whose key sounds like a credential."""
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(key, part) else without_secrets(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_secrets(part) for part in value]
    return value


def _is_secret(key: Any, part: Any) -> bool:
    # `max_tokens: 64` is a number, not a credential.
    return isinstance(part, str) and any(word in str(key).lower() for word in _SECRET_WORDS)
