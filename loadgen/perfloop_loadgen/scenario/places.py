"""Find a value in an answer: `json:items[0].id`, `header:ETag`, `regex:id=([0-9]+)`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

# What was looked for is not there; None is a value that may well be there.
MISSING = object()
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def find(place: str, head: bytes, body: bytes) -> Any:
    """Return the value at a place of an answer, or MISSING."""
    kind, _, where = place.partition(":")
    if kind == "json":
        return find_json(where, body)
    if kind == "header":
        return find_header(where, head)
    found = re.search(where, body.decode("utf-8", "replace"))
    return found[found.re.groups and 1] if found else MISSING


def find_json(path: str, body: bytes) -> Any:
    """Follow a path of names and [numbers] into a JSON body."""
    try:
        value = json.loads(body)
    except ValueError:
        return MISSING
    for name, number in _STEP.findall(path):
        value = _step(value, name, number)
        if value is MISSING:
            break
    return value


def find_header(name: str, head: bytes) -> Any:
    """Return a header's value by its name in any case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.lower().encode():
            return value.strip().decode("latin-1")
    return MISSING


def _step(value: Any, name: str, number: str) -> Any:
    if name and isinstance(value, dict):
        return value.get(name, MISSING)
    if number and isinstance(value, Sequence) and not isinstance(value, str) and int(number) < len(value):
        return value[int(number)]
    return MISSING
