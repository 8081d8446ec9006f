"""Which Prometheus a test gets: the machine's own where it is new enough, else one of the shipped release."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from perfloop.stack.alertmanager_version import read_version
from tests.support.current_prometheus import HOW, find_current


@cache
def version_of(program: str) -> tuple[int, ...]:
    """The version of a prometheus or promtool; (0,) where it does not say."""
    return tuple(read_version(Path(program)) or (0,))


def find_newer(name: str, own: str, least: tuple[int, int]) -> str:
    """The program: the machine's own, if new enough, else a current one; skips the test where there is neither."""
    if version_of(own) >= least:
        return own
    found = find_current(name)
    if found is None or not found.is_file() or version_of(str(found)) < least:
        pytest.skip(f"{name} {'.'.join(map(str, least))} or later is not here: {HOW}")
    return str(found)


def find_shipped(name: str) -> str:
    """The program of the release line that Compose ships; skips the test where it is not here."""
    found = find_current(name)
    if found is None or not found.is_file():
        pytest.skip(f"{name} of the shipped release is not here: {HOW}")
    return str(found)
