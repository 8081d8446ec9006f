"""Say whether an answer is right, beyond its status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perfloop_loadgen.scenario.places import MISSING, find_header, find_json

if TYPE_CHECKING:
    from perfloop_loadgen.config.scenario import CheckConfig

# Takes the head and the body of an answer.
Judge = Callable[[bytes, bytes], bool]


def build_judge(checks: Sequence[CheckConfig]) -> Judge | None:
    """Return one question that stands for all checks, or None when there are none."""
    if not checks:
        return None
    kept = tuple(checks)
    return lambda head, body: all(_holds(check, head, body) for check in kept)


def _holds(check: CheckConfig, head: bytes, body: bytes) -> bool:
    if check.body_contains is not None:
        return check.body_contains.encode() in body
    found = find_json(check.json_path, body) if check.json_path is not None else find_header(check.header or "", head)
    if check.equals is None:
        return found is not MISSING
    return bool(found == check.equals)
