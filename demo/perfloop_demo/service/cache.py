"""The cache: in this process by default, Redis when REDIS_URL is set; both are instrumented."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import redis

from perfloop_base.errors import StartError
from perfloop_demo.service.instruments.library import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_demo.service.instruments import Instruments

TTL_SECONDS = 300
# A cache that is slower than this costs more than a miss.
_REDIS_SECONDS = 0.5
# Another service may share the Redis.
_PREFIX = "perfloop-demo:"

log = logging.getLogger(__name__)


class Cache(Protocol):
    """The interface of a cache."""

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""

    def set(self, key: str, value: bytes) -> None:
        """Store a value for `TTL_SECONDS`."""

    def close(self) -> None:
        """Close the connections."""


class MemoryCache:
    """A cache in memory that evicts the least recently used entries, and every entry after `TTL_SECONDS`."""

    name = "memory"

    def __init__(
        self,
        max_entries: int = 2048,
        clock: Callable[[], float] = time.monotonic,
        instruments: Instruments = LIBRARY,
    ) -> None:
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._max_entries = max_entries
        self._clock = clock
        self._lock = Lock()
        self._metrics = instruments.measure_cache(self.name)

    def get(self, key: str) -> bytes | None:
        """Return the value of a key unless it has expired."""
        with self._metrics.operation("get") as operation, self._lock:
            entry = self._entries.get(key)
            operation.hit = entry is not None and entry[0] > self._clock()
            if entry is None or not operation.hit:
                self._entries.pop(key, None)
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def set(self, key: str, value: bytes) -> None:
        """Store a value; a full cache evicts its least recently used entry."""
        with self._metrics.operation("set"), self._lock:
            self._entries[key] = (self._clock() + TTL_SECONDS, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def close(self) -> None:
        """Delete every entry."""
        self._entries.clear()


class RedisCache:
    """Redis; while it does not answer, every read is a miss and every write is lost."""

    name = "redis"

    def __init__(self, url: str, instruments: Instruments = LIBRARY) -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS)
        try:
            self._client.ping()
        except redis.RedisError as error:
            address = url.rpartition("@")[2]
            raise StartError(f"REDIS_URL has the value {address!r}, where no Redis answers: {error}.") from error
        instruments.watch_redis(self._client, self.name)

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        try:
            value = self._client.get(_PREFIX + key)
        except redis.RedisError as error:
            log.warning("cache read failed", extra={"error": error})
            return None
        return value if isinstance(value, bytes) else None

    def set(self, key: str, value: bytes) -> None:
        """Store a value for `TTL_SECONDS`."""
        try:
            self._client.set(_PREFIX + key, value, ex=TTL_SECONDS)
        except redis.RedisError as error:
            log.warning("cache write failed", extra={"error": error})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class SwitchedCache:
    """A cache that can be switched off: each read then asks the real cache for a key that was never written."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.off = False

    def get(self, key: str) -> bytes | None:
        """Return the value of a key; a real miss while switched off."""
        return self._cache.get(f"off:{uuid4().hex}" if self.off else key)

    def set(self, key: str, value: bytes) -> None:
        """Store a value unless switched off."""
        if not self.off:
            self._cache.set(key, value)

    def close(self) -> None:
        """Close the real cache."""
        self._cache.close()


def build_cache(redis_url: str | None, instruments: Instruments = LIBRARY) -> MemoryCache | RedisCache:
    """Return the cache that the settings ask for."""
    return RedisCache(redis_url, instruments) if redis_url else MemoryCache(instruments=instruments)
