"""Collectors of hardware and services that most machines do not have: where there is nothing, they look seldom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop_exporter.collectors.families import Collector, Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# How long a driver that is loaded, or a device that is plugged in, can go unseen; a scrape in between reads no file.
RELOOK_SECONDS = 60.0


class Seldom:
    """Runs a collector; one that had no data runs again only after RELOOK_SECONDS.

    Args:
        collector: What is run.
        now: A clock in seconds that never goes back.
    """

    def __init__(self, collector: Collector, now: Callable[[], float] = time.monotonic) -> None:
        self._collector = collector
        self._now = now
        self._next_look = 0.0
        self._problem = ""

    def collect(self) -> Iterable[Item]:
        """Return what the collector returns.

        Raises:
            CollectorError: As the collector does.
            NoDataError: It had no data now, or less than RELOOK_SECONDS ago.
        """
        if self._problem and self._now() < self._next_look:
            raise NoDataError(self._problem)
        try:
            items = self._collector.collect()
        except NoDataError as error:
            self._problem, self._next_look = str(error), self._now() + RELOOK_SECONDS
            raise
        self._problem = ""
        return items


def seldom(make: Callable[[Host, Options], Collector]) -> Callable[[Host, Options], Collector]:
    """Return a factory of the collector for Spec, which makes it look seldom."""
    return lambda host, options: Seldom(make(host, options))
