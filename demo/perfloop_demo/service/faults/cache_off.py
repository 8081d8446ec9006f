"""Cache off: every read of the cache is a miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_demo.service.faults.rules import Rule

if TYPE_CHECKING:
    from perfloop_demo.service.cache import SwitchedCache


class CacheOff:
    """Reads miss and writes are lost, so that all work is done again."""

    rule = Rule("cache_off", "Cache off", "switch", "on or off", 1, "Every cache read misses, every write is lost.")

    def __init__(self, cache: SwitchedCache) -> None:
        self._cache = cache

    def apply(self, value: float) -> None:
        """Switch the cache off, or on again."""
        self._cache.off = bool(value)
