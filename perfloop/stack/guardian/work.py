"""Which processes have used a processor since they were last looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable


class Work:
    """The processor time of each process, in seconds, when it was last looked at."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def find_working(self, pids: Iterable[int]) -> set[int]:
        """Return the processes that have used more of it than the last time; one that is new has not."""
        before, self._seconds = self._seconds, {}
        for pid in pids:
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.Error:
                continue
            self._seconds[pid] = times.user + times.system
        return {pid for pid, seconds in self._seconds.items() if seconds > before.get(pid, seconds)}
