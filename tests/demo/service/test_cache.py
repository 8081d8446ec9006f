from __future__ import annotations

from perfloop_demo.service.cache import TTL_SECONDS, MemoryCache, SwitchedCache


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_kept_and_forgotten():
    """What was set is got, what was not is not."""
    cache = MemoryCache()
    cache.set("a", b"1")
    assert (cache.get("a"), cache.get("b")) == (b"1", None)


def test_least_recently_used_leaves_first():
    """A full cache gives up the entry that was unused the longest."""
    cache = MemoryCache(max_entries=2)
    cache.set("a", b"1")
    cache.set("b", b"2")
    cache.get("a")
    cache.set("c", b"3")
    assert [cache.get(key) for key in "abc"] == [b"1", None, b"3"]


def test_entries_grow_old():
    """After its time an entry is a miss and takes no place."""
    clock = _Clock()
    cache = MemoryCache(clock=clock)
    cache.set("a", b"1")
    clock.now = TTL_SECONDS - 1.0
    assert cache.get("a") == b"1"
    clock.now = TTL_SECONDS + 1.0
    assert (cache.get("a"), len(cache._entries)) == (None, 0)


def test_switched_off():
    """Switched off, reads miss and writes are lost; switched on again, what was kept is there."""
    cache = SwitchedCache(MemoryCache())
    cache.set("a", b"1")
    cache.off = True
    cache.set("b", b"2")
    assert (cache.get("a"), cache.get("b")) == (None, None)
    cache.off = False
    assert (cache.get("a"), cache.get("b")) == (b"1", None)
