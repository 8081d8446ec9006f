"""Texts that fit a schema's format, pattern and length."""

from __future__ import annotations

from typing import Any

# `minLength` is the document's number, of any size.
_LONGEST_TEXT = 1000
_PATTERN_LIMIT_SECONDS = 0.02
# After so many patterns that did not end in time, no further one is tried.
_MOST_SLOW = 20
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "someone@example.org",
    "idn-email": "someone@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "url": "https://example.org/",
    "uri-reference": "/",
    "byte": "dGV4dA==",
    "password": "text",  # pragma: allowlist secret
    "json-pointer": "/a",
    "regex": ".*",
}
# What most patterns of public documents ask for; the first that fits is taken.
_TRIED: tuple[str, ...] = (
    *("text", "a", "A", "1", "text1", "TEXT", "Text", "00", "12", "123", "1234", "12345", "123456", "12345678"),
    *("1234567890", "123456789012", "a1", "ab", "AB", "ABC", "US", "en", "en-US", "USD", "1.0", "1.0.0", "v1"),
    *("a-b", "a_b", "a.b", "a/b", "/", "/a", "#000000", "000000", "10:00", "10:00:00", "+15555550100", "1d", "1h"),
    *("a" * 8, "a" * 16, "a" * 24, "0" * 24, "a" * 32, "0" * 32, "a" * 40, "0" * 40, "a" * 64, "0" * 64),
    *("arn:aws:iam::123456789012:role/a", "urn:a:b", "text/plain", "https://example.org", "s3://a/b"),
    *_FORMATS.values(),
)


class Texts:
    """Finds texts, for each pattern once."""

    def __init__(self) -> None:
        # How many texts do not fit their pattern.
        self.misfits = 0
        self._slow = 0
        self._found: dict[tuple[Any, ...], str | None] = {}

    def fitting(self, rules: dict[str, Any]) -> str:
        """Return a text for a schema; one whose pattern no common text fits is counted."""
        pattern = rules.get("pattern")
        if not isinstance(pattern, str):
            return _plain(rules)
        least, most = _bounds(rules)
        key = (pattern, least, most, str(rules.get("format")))
        if key not in self._found:
            self._found[key] = self._search(pattern, rules)
        found = self._found[key]
        self.misfits += found is None
        return _plain(rules) if found is None else found

    def _search(self, pattern: str, rules: dict[str, Any]) -> str | None:
        import regex  # a document's pattern must not search without an end

        least, most = _bounds(rules)
        if self._slow >= _MOST_SLOW:
            return None
        for text in (_plain(rules), _of_length("text", rules), *_TRIED):
            if not least <= len(text) <= most:
                continue
            try:
                if regex.search(pattern, text, timeout=_PATTERN_LIMIT_SECONDS):
                    return text
            except TimeoutError:
                self._slow += 1
                break
            except (regex.error, RecursionError, OverflowError, MemoryError):
                break
        return None


def _plain(rules: dict[str, Any]) -> str:
    return _FORMATS.get(str(rules.get("format", ""))) or _of_length("text", rules)


def _of_length(text: str, rules: dict[str, Any]) -> str:
    least, most = _bounds(rules)
    return text.ljust(min(least, _LONGEST_TEXT), "x")[:most]


def _bounds(rules: dict[str, Any]) -> tuple[int, int]:
    least, most = rules.get("minLength"), rules.get("maxLength")
    return (
        least if isinstance(least, int) else 0,
        max(most, 0) if isinstance(most, int) and not isinstance(most, bool) else _LONGEST_TEXT,
    )
