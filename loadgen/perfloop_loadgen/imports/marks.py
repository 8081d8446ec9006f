"""Variables of other tools in texts that are still to be quoted and escaped: each becomes a placeholder at the end.

A mark is made of characters that no text has (Unicode's private use area). Quoted for a URL it is known as well.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

_MARK = re.compile("\ue000([^\ue001]*)\ue001|%EE%80%80([A-Za-z0-9_.:%-]*?)%EE%80%81")


def mark(placeholder: str) -> str:
    """Return the mark of a placeholder, which is given without its signs: `env:TOKEN`."""
    return f"\ue000{placeholder}\ue001"


def has_mark(text: str) -> bool:
    """Return whether a text holds a mark."""
    return _MARK.search(text) is not None


def without_first(text: str) -> str | None:
    """Return what follows the mark that a text begins with; None: it begins otherwise."""
    found = _MARK.match(text)
    return text[found.end() :] if found else None


def unmarked(value: Any) -> Any:
    """Return the same with every mark as the placeholder that it stands for."""
    if isinstance(value, dict):
        return {unmarked(key): unmarked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [unmarked(part) for part in value]
    if not isinstance(value, str):
        return value
    return _MARK.sub(lambda found: f"${{{found[1] or unquote(found[2] or '')}}}", value)
