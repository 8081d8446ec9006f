"""Ids that stand in a URL, a file's name and a command line as they are, whatever the labels they are made of."""

from __future__ import annotations

import hashlib
import re

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,62}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")
# What an id may look like at all; another one exists nowhere.
IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,159}")
_LONGEST = 40


def slug(name: str) -> str:
    """Return a name for use in an id: itself where it is URL-safe and short, else its letters and a digest of it.

    Two different names never give the same slug but for a collision of 32 bits.
    """
    if _SAFE.fullmatch(name) and ".." not in name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    letters = _UNSAFE.sub("-", name).strip("-")[:_LONGEST].strip("-")
    return f"{letters}-{digest}" if letters else f"x-{digest}"
