"""How much may be queried: concurrent queries, samples per cycle, and a pause after failures."""

from __future__ import annotations

from dataclasses import dataclass

BACK_OFF_FIRST = 5.0
BACK_OFF_MOST = 300.0
ASKED_MOST = 3600.0  # the longest pause that a server's Retry-After gets


@dataclass(slots=True)
class Budget:
    """The limits of one source, and its pause after failures.

    Attributes:
        concurrency: Concurrent queries.
        max_samples: Samples per cycle.
        failures: Consecutive rounds in which no query was answered.
        closed_until: The end of the pause, on the caller's monotonic clock in seconds.
        reason: Why the source was not available.
    """

    concurrency: int = 4
    max_samples: int = 20_000_000
    failures: int = 0
    closed_until: float = 0.0
    reason: str = ""

    def is_open(self, now: float) -> bool:
        """Return whether the source may be queried now."""
        return now >= self.closed_until

    def succeeded(self) -> None:
        """Record that a query was answered: the pause ends."""
        self.failures = 0
        self.closed_until = 0.0

    def failed(self, now: float, reason: str = "", asked: float = 0.0) -> float:
        """Record that no query was answered; return the pause in seconds.

        It doubles each time up to BACK_OFF_MOST, and is no shorter than the server asked for, up to ASKED_MOST.
        """
        pause = max(min(BACK_OFF_FIRST * 2.0**self.failures, BACK_OFF_MOST), min(asked, ASKED_MOST))
        self.failures += 1
        self.reason = reason
        self.closed_until = now + pause
        return pause
