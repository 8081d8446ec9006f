"""Every check asked in turn; what one cannot answer is unknown, and stops no other."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.check import advice
from perfloop.check.checklist import Line, overall
from perfloop.check.findings import NoStackError, Part, Verdict, unknown
from perfloop.check.place import find_place
from perfloop.check.sources import Sources
from perfloop.check.table import CHECKS, ITEMS
from perfloop.stack.settings import current_settings
from perfloop_base.errors import PerfloopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from perfloop.check.checklist import Check
    from perfloop.check.config import CheckConfig
    from perfloop.check.findings import Finding, Item

# What files, stores and programs that cannot be used end in, beside the errors of this project.
_KNOWN = (PerfloopError, OSError, sqlite3.Error, UnicodeError, ValueError)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of every check; `at` is when they were asked, in Unix seconds."""

    at: float
    mode: str
    home: str
    service: str
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict of all lines."""
        return overall(self.lines)

    def count(self, verdict: Verdict) -> int:
        """Return how many lines have a verdict."""
        return sum(line.finding.verdict is verdict for line in self.lines)


def check(config: CheckConfig, parts: Sequence[Part], say: Callable[[str], None]) -> Result:
    """Ask every check of the parts.

    Args:
        config: what is checked.
        parts: of the checklist.
        say: called with what is being done at the moment.

    Raises:
        ConfigError: the settings are wrong.
    """
    config.check()
    settings = current_settings()
    place = find_place(settings, config)
    sources = Sources(config, place, time.time(), say)
    asked = [(one, item) for one in CHECKS if (item := one.item_of(parts)) is not None]
    lines: list[Line] = []
    for one, item in asked:
        say(one.title)
        lines += [Line(one, item, found) for found in ask(one, sources)]
    return Result(
        sources.now, place.mode, str(settings.home), config.service, tuple(parts), tuple(_ordered(lines, ITEMS))
    )


def ask(one: Check, sources: Sources) -> Iterable[Finding]:
    """Return what a check found; a problem while it looks is one more line, which is unknown."""
    found: list[Finding] = []
    try:
        # One by one: what it yielded before a problem stays.
        for finding in one.look(sources):
            found.append(finding)  # noqa: PERF402 - as the line above says
    except _KNOWN as error:
        todo = advice.START if isinstance(error, NoStackError) else one.otherwise
        found.append(unknown(_words(error), todo))
    return found or [unknown("there is nothing that it could be asked of", one.otherwise)]


def _words(error: Exception) -> str:
    """Return an error as one sentence without a full stop."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _ordered(lines: Iterable[Line], items: Sequence[Item]) -> Iterator[Line]:
    """Yield the lines by the order of the checklist, those of an item in the order in which they were asked."""
    held = list(lines)
    for item in items:
        yield from (line for line in held if line.item == item)
