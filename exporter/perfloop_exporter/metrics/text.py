"""Text from callers, for names and label values: any object becomes valid, bounded text, and nothing in here raises."""

from __future__ import annotations

from perfloop_base.exposition import valid

# Characters of a label value, a metric's or label's name, and a help text. Each value stands on every line of its
# series, some twenty for a histogram.
VALUE_LIMIT = 256
NAME_LIMIT = 128
HELP_LIMIT = 1024


def text_of(value: object, limit: int = VALUE_LIMIT) -> str:
    """Return the value as text of at most `limit` characters that every reader of the page accepts."""
    text = value if type(value) is str else _converted(value)
    if len(text) > limit:
        text = f"{text[: limit - 1]}…"
    return valid(text)


def _converted(value: object) -> str:
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "replace")
        # A subclass of str may return another instance of itself, with methods of its own.
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - whatever the caller's own __str__ raises
        return f"<{type(value).__name__}>"
