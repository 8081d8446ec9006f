"""Search an answer for a regular expression within a bounded time.

A pattern such as `(a+)+b` takes exponential time on an answer that nearly matches, and the answer is the server's. The
standard library cannot be interrupted; the library `regex` reads the same notation and takes a time limit.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from perfloop_base.errors import ConfigError

# The search keeps the event loop from everything else. Ordinary patterns need microseconds.
_LIMIT_SECONDS = 0.05
# After so much time without a result a pattern is not tried again: hundreds of users may hold such an answer at once.
_MOST_SECONDS_LOST = 0.3
# The library looks at its clock once a repetition, which on a text of 16 MiB has taken 10 s, on this one below 1 s.
_LONGEST_TEXT = 1_048_576


class PatternTooSlowError(Exception):
    """A regex did not end in time on an answer."""


class _Pattern:
    """A compiled pattern, and the time that searches without an end have cost in this process."""

    def __init__(self, text: str) -> None:
        import regex  # most tests have no pattern, and every start would pay for it

        self.text = text
        self.compiled: Any = regex.compile(text)
        self.seconds_lost = 0.0

    def search(self, text: str) -> Any:
        if self.seconds_lost < _MOST_SECONDS_LOST:
            began = time.perf_counter()
            try:
                return self.compiled.search(text, 0, _LONGEST_TEXT, timeout=_LIMIT_SECONDS)
            except TimeoutError:
                self.seconds_lost += time.perf_counter() - began
        raise PatternTooSlowError(f"the regex {self.text!r} did not end within {_LIMIT_SECONDS:g} s")


@lru_cache(maxsize=256)
def _pattern(text: str) -> _Pattern:
    return _Pattern(text)


def check_pattern(text: str, what: str) -> None:
    """Check that a text is a regular expression; `what` names it in the problem.

    Raises:
        ConfigError: it is none.
    """
    import regex

    try:
        _pattern(text)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ConfigError(f"{what}: {text!r} is not a regular expression: {error}") from error


def search(text: str, within: str) -> Any:
    """Return the first match in the first 1,048,576 characters, or None.

    Raises:
        PatternTooSlowError: the search did not end in time, now or on the last answers.
    """
    return _pattern(text).search(within)
