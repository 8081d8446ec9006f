"""The lives of trends and forecasts: each begins once, and ends when it is clearly gone.

A test that is repeated every few minutes crosses its level back and forth. So a trend that was found goes on at a
milder level than the one at which it begins, and ends only after MISSES readings of the history in a row without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.incidents import Memory

MISSES = 6  # readings of the history: half an hour
MILDER = 10.0  # times the p-value at which it begins


@dataclass(slots=True)
class Lives:
    """What was found and goes on.

    Attributes:
        before: What stood at the reading before, and how many readings in a row it was missed; None: no reading yet.
        memory: What the cycles know, which says what stood before a restart.
        now: What goes on now.
    """

    before: Mapping[str, int] | None = None
    memory: Memory | None = None
    now: dict[str, int] = field(default_factory=dict)

    def stood(self, series: str, grade: str) -> bool:
        """Return whether a series' finding of a grade stood at the reading before."""
        key = f"{series}/{grade}"
        if self.before is not None or self.memory is None:
            return key in (self.before or {})
        known = self.memory.episodes.get(key)
        return known is not None and self.memory.stands(known.seen)

    def goes_on(self, series: str, grade: str, *, seen: bool) -> bool:
        """Return whether a finding stands, after a reading that has seen it or not."""
        key = f"{series}/{grade}"
        missed = 0 if seen else (self.before or {}).get(key, 0) + 1
        if missed >= MISSES or not (seen or self.stood(series, grade)):
            return False
        self.now[key] = missed
        return True

    def after(self) -> dict[str, int]:
        """Return what goes on after the reading; what was not answered for is missed once more."""
        missed = {key: count + 1 for key, count in (self.before or {}).items() if key not in self.now}
        return {**{key: count for key, count in missed.items() if count < MISSES}, **self.now}
