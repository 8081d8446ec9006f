"""The headers of every response: what a browser may do with it.

The policy allows nothing that the response does not carry itself: no script or style but those of the page, whose
hashes it names, nothing from elsewhere, no frame around it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Headers = tuple[tuple[str, str], ...]

# For every response that is not a page: nothing in it is ever run or shown in a frame.
CLOSED_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICY = "Content-Security-Policy"

SECURITY: Headers = (
    (POLICY, CLOSED_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    # What a page or an API shows is of the moment, and not for a disk.
    ("Cache-Control", "no-store"),
)

_INLINE = re.compile(r"<(script|style)(?:\s[^>]*)?>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)


def page_policy(html: str, *extra: str) -> str:
    """Return the policy of a page with inline scripts and styles: it allows those by their hashes.

    Args:
        html: The page as it is sent, or its parts that hold the scripts and styles.
        extra: Further directives, such as "connect-src 'self'".
    """
    found: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        # A browser hashes the text after it has turned the line ends into LF.
        digest = hashlib.sha256(text.replace("\r\n", "\n").encode()).digest()
        found[kind.lower()].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    sources = [f"{kind}-src {' '.join(dict.fromkeys(hashes))}" for kind, hashes in found.items() if hashes]
    return "; ".join((CLOSED_POLICY, *sources, *extra))


def merged(own: Iterable[tuple[str, str]], *more: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers of a response: its own first, then those of each list whose names are not there yet."""
    result: list[tuple[str, str]] = list(own)
    names: set[str] = {name.lower() for name, _ in result}
    for headers in more:
        fresh = [(name, value) for name, value in headers if name.lower() not in names]
        result += fresh
        names |= {name.lower() for name, _ in fresh}
    return tuple(result)


def policy_of(headers: Collection[tuple[str, str]]) -> str:
    """Return the policy among headers, empty without one."""
    return next((value for name, value in headers if name.lower() == POLICY.lower()), "")
