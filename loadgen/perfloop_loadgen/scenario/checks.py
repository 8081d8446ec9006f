"""Look into an answer: find a value in it, and check it beyond its status.

A source names where a value is: `json:items[0].id`, `header:ETag`, `cookie:session`, `regex:id=([0-9]+)`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
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
# Takes the same; returns the values that were found, and the names of those that were not.
Extract = Callable[[bytes, bytes], tuple[dict[str, Any], list[str]]]
_LONGEST_NAME = 80
# Sources and checks that look into the head alone: the body need not be kept for them.
_IN_HEAD = frozenset({"header", "cookie"})


def build_judge(checks: Sequence[CheckConfig]) -> Judge | None:
    """Return one function for all checks, or None when there are none."""
    if not checks:
        return None
    kept = tuple((name_of(check), check) for check in checks)
    return lambda head, body: [(name, _holds(check, head, body)) for name, check in kept]


def build_extract(sources: Mapping[str, str]) -> Extract | None:
    """Return one function for all values to extract, or None when there are none."""
    if not sources:
        return None

    def extract(head: bytes, body: bytes) -> tuple[dict[str, Any], list[str]]:
        found = {name: find(source, head, body) for name, source in sources.items()}
        missing = [name for name, value in found.items() if value is MISSING]
        return found, missing

    return extract


def reads_body(checks: Sequence[CheckConfig], sources: Mapping[str, str]) -> bool:
    """Return whether any check or source looks into the body."""
    return any(check.header is None for check in checks) or any(
        source.partition(":")[0] not in _IN_HEAD for source in sources.values()
    )


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
    if check.json_path is None:
        values = headers_in(check.header or "", head)
        return bool(values) if check.equals is None else check.equals in values
    found = find_json(check.json_path, body)
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
    if kind == "cookie":
        return cookies_in(head).get(where, MISSING)
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
    """Return a header's value by its name in any case.

    Of a header that comes several times that is the first, but of `Set-Cookie` all of them, as a `Cookie` header sends
    them back: `a=1; b=2`.
    """
    if name.lower() == "set-cookie":
        cookies = cookies_in(head)
        return "; ".join(f"{key}={value}" for key, value in cookies.items()) if cookies else MISSING
    values = headers_in(name, head)
    return values[0] if values else MISSING


def headers_in(name: str, head: bytes) -> list[str]:
    """Return every value of a header, in the order in which they came."""
    wanted = name.lower().encode("latin-1", "replace")
    lines = (line.partition(b":") for line in head.split(b"\n")[1:])
    return [_text(value.strip()) for key, _, value in lines if key.strip().lower() == wanted]


def _text(value: bytes) -> str:
    """Return a header's value as it is sent again: in UTF-8, as `render` writes it, else in the Latin-1 of old."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def cookies_in(head: bytes) -> dict[str, str]:
    """Return the cookies that an answer sets, by name, without their attributes (RFC 6265, section 5.2)."""
    pairs = (line.partition(";")[0].partition("=") for line in headers_in("Set-Cookie", head))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip()}


def _step(value: Any, name: str, number: int | None) -> Any:
    if number is None:
        return value.get(name, MISSING) if isinstance(value, dict) else MISSING
    if isinstance(value, Sequence) and not isinstance(value, str) and number < len(value):
        return value[number]
    return MISSING
