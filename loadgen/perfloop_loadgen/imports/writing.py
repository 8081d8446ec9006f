"""The YAML of an imported test: a block for each request, or a line, where blocks would be thousands of lines."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BREAKS = re.compile(r"[\n\r\x85\u2028\u2029]")


class _Dumper(_BASE):  # type: ignore[misc] # whichever of the two this build of PyYAML has
    """Writes a text of several lines on one line, its line ends as escapes."""


def _write_text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _write_text)
# A file that people still read from top to bottom; a longer one is read line by line, by searching.
_MOST_BLOCK_LINES = 1000
_ENDLESS = 2**30
_DEEPEST = 30
_NOTE = (
    "A start: keep the requests that a load test may send (some change data), put real values into their bodies, and "
    "look at base_url."
)


def to_yaml(name: str, test: dict[str, Any], notes: Iterable[str]) -> str:
    """Return a file with one test under its name, the notes as comments above it."""
    comments = "".join(f"# {line}\n" for line in (_NOTE, *notes))
    plain = {"load_tests": {_text(name) or "test": plain_value(test)}}
    return comments + (_in_lines(plain) if _lines(plain) > _MOST_BLOCK_LINES else _dump(plain, flow=False))


def _lines(value: Any) -> int:
    """Return about how many lines a block takes: one for each value that holds no others, and each key."""
    if isinstance(value, dict):
        return sum(map(_lines, value.values())) + len(value)
    return sum(map(_lines, value)) if isinstance(value, list) else 1


def plain_value(value: Any, depth: int = 0) -> Any:
    """Return a copy that YAML and JSON can hold: no shared parts, no infinity, no characters that are none."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {_text(str(key)): plain_value(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(part, depth + 1) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(str(value))


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _dump(value: Any, *, flow: bool) -> str:
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_ENDLESS, default_flow_style=flow)
    )


def _in_lines(plain: dict[str, Any]) -> str:
    """Return the same with every request on a line of its own."""
    [(name, test)] = plain["load_tests"].items()
    head = _dump(
        {"load_tests": {name: {key: part for key, part in test.items() if not _is_requests(part)}}}, flow=False
    )
    parts = [head]
    for key, part in test.items():
        if not _is_requests(part):
            continue
        if "steps" in part[0]:
            for scenario in part:
                parts.append(f"    {key}:\n    - name: {_inline(scenario['name'])}\n      steps:\n")
                parts += [f"      - {_inline(step)}\n" for step in scenario["steps"]]
        else:
            parts.append(f"    {key}:\n")
            parts += [f"    - {_inline(one)}\n" for one in part]
    return "".join(parts)


def _is_requests(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return _dump([value], flow=True).strip()[1:-1]
    return _dump(value, flow=True).rstrip("\n")
