"""Look into an answer: find a value in it, and check it beyond its status.

A source names where a value is: `json:items[0].id`, `header:ETag`, `regex:id=([0-9]+)`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.scenario.pattern import search

if TYPE_CHECKING:
    from perfloop_loadgen.config.scenario import CheckConfig

# The value is not in the answer; None is a value that may well be there.
MISSING = object()
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")
_MOST_DIGITS = 18

# Takes the head and the body of an answer; returns the name of each check and whether it passed.
Judge = Callable[[bytes, bytes], list[tuple[str, bool]]]
_LONGEST_NAME = 80


def build_judge(checks: Sequence[CheckConfig]) -> Judge | None:
    """Return one function for all checks, or None when there are none."""
    if not checks:
        return None
    kept = tuple((name_of(check), check) for check in checks)
    return lambda head, body: [(name, _holds(check, head, body)) for name, check in kept]


def name_of(check: CheckConfig) -> str:
    """Return a check as reports and metrics show it: `json state = "sold"`, `header ETag`, `body contains price`."""
    if check.body_contains is not None:
        name = f"body contains {check.body_contains}"
    else:
        name = f"json {check.json_path}" if check.json_path is not None else f"header {check.header}"
        if check.equals is not None:
            name += f" = {json.dumps(check.equals, default=str)}"
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _holds(check: CheckConfig, head: bytes, body: bytes) -> bool:
    if check.body_contains is not None:
        return check.body_contains.encode("utf-8", "surrogatepass") in body
    found = find_json(check.json_path, body) if check.json_path is not None else find_header(check.header or "", head)
    if check.equals is None:
        return found is not MISSING
    try:
        return bool(found == check.equals)
    except RecursionError:
        return False  # nested deeper than anything that a file could ask for


def find(source: str, head: bytes, body: bytes) -> Any:
    """Return the value that a source names, or MISSING.

    Raises:
        PatternTooSlowError: a regex did not end in time on this body.
    """
    kind, _, where = source.partition(":")
    if kind == "json":
        return find_json(where, body)
    if kind == "header":
        return find_header(where, head)
    found = search(where, body.decode("utf-8", "replace"))
    # The first group where the pattern has one, else the whole match.
    return found[bool(found.re.groups)] if found else MISSING


def find_json(path: str, body: bytes) -> Any:
    """Follow a path of names and [numbers] into a JSON body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return MISSING  # not JSON, or nested deeper than the interpreter's stack
    for name, number in _steps(path):
        value = _step(value, name, number)
        if value is MISSING:
            break
    return value


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[tuple[str, int | None], ...]:
    """Return the names and numbers of a path; a number with more digits than a list has items finds nothing."""
    found = _STEP.findall(path)
    return tuple((name, int(number[:_MOST_DIGITS]) if number else None) for name, number in found)


def find_header(name: str, head: bytes) -> Any:
    """Return a header's value by its name in any case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.lower().encode():
            return value.strip().decode("latin-1")
    return MISSING


def _step(value: Any, name: str, number: int | None) -> Any:
    if number is None:
        return value.get(name, MISSING) if isinstance(value, dict) else MISSING
    if isinstance(value, Sequence) and not isinstance(value, str) and number < len(value):
        return value[number]
    return MISSING
