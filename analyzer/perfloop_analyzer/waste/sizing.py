"""How much is enough: the size below which a peak, throttling, a kill or growth forbids to go.

A limit is not a request: what a program needs for a minute it must get. So a limit is the largest of KRR's rule for
memory (peak + 15%, of the peak that growth leads to), applied to CPU too, and of the Vertical Pod Autoscaler's upper
bound, which is wider the fewer days there are (see recommend.rightsizing). Pools are sized as M/M/n queues whose peak
is the offered load; machines keep their peak at the use from which on they would be recommended to grow again, and
disks keep a third free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.planning.capacity.queueing import servers_for_wait
from perfloop_analyzer.recommend.capacity import TARGET_UTILISATION, WAIT_GOAL
from perfloop_analyzer.recommend.rightsizing import MARGIN

if TYPE_CHECKING:
    from perfloop_analyzer.waste.use import Use

MOST_THROTTLED = 0.01  # of the periods: from here on the peak of the use is not seen
GROWTH_DAYS, DISK_GROWTH_DAYS = 30.0, 90.0  # so far ahead what is left must be enough
LEAST_CORES, LEAST_BYTES = 0.1, 64.0 * 2**20  # no limit is recommended below it
LEAST_REQUESTED_CORES, LEAST_REQUESTED_BYTES = 0.01, 32.0 * 2**20  # and no request
KILLED = "processes were killed for want of memory"
MACHINE_MEMORY_USED = 0.8  # the warning limit of memory, in thresholds.yml
DISK_USED, DISK_DAYS = 0.7, 6.5
LEAST_REPLICAS = 2  # one may fail
LEAST_CACHE_RATE = 0.1  # lookups per second: less is no real traffic
NO_HITS, SOME_HITS = 0.05, 0.2  # of the lookups, of all days and of one step
IDLE_GPU = 0.05  # of the time
FIRST_BUCKET = 1e-4  # of the size: the narrowest bucket of the Vertical Pod Autoscaler's histogram


@dataclass(frozen=True, slots=True)
class Need:
    """The size that is enough, in the unit of the size.

    Attributes:
        size: It.
        words: Where it is from.
        least: The smallest size that any of the rules gives.
        risks: What else a person should know, each a clause.
        used: The share of it that the highest use takes; None where use and size have one unit, so that it is plain.
    """

    size: float
    words: str
    least: float
    risks: tuple[str, ...] = ()
    used: float | None = None


# From the use, the size, and the other uses of the same thing by name: a need, or why nothing is recommended.
Others = Mapping[str, "Use"]
Sizing = Callable[["Use", float, Others], Need | str]


def limit_need(use: Use, size: float) -> Need:
    """Return the limit that a use needs, in its own unit; `size` is the limit now."""
    grown = use.growth * GROWTH_DAYS
    by_peak, sizing = (use.peak + grown) * MARGIN, use.usage.sizing(1.0, size * FIRST_BUCKET)
    wider = max(sizing.upper, by_peak)
    rule = "peak + 15% (KRR)" if by_peak >= sizing.upper else "the Vertical Pod Autoscaler's upper bound"
    risks = (f"the peak of a day grows: {GROWTH_DAYS:.0f} days of it are included",) if grown else ()
    return Need(wider, rule, min(by_peak, sizing.target), risks)


def cpu_limit(use: Use, size: float, others: Others) -> Need | str:
    """Size the CPU limit of a container, in cores."""
    throttled = others.get("throttled")
    if throttled is not None and throttled.mean > MOST_THROTTLED:
        return f"it was throttled in {throttled.mean:.1%} of the periods: what it would use is not seen"
    need = limit_need(use, size)
    some = throttled is not None and throttled.peak > 0
    was = (f"it was throttled at times, in up to {throttled.peak:.1%} of the periods",) if some and throttled else ()
    return _rounded(need, LEAST_CORES, 1.0, (*need.risks, *was))


def memory_limit(use: Use, size: float, others: Others) -> Need | str:
    """Size the memory limit of a container, in bytes."""
    if _happened(others, "killed", "ended"):
        return KILLED
    need = limit_need(use, size)
    return _rounded(need, LEAST_BYTES, float(2**20), need.risks)


def cpu_request(use: Use, size: float, others: Others) -> Need | str:
    """Size the CPU request of a container, in cores: what it uses nearly always, since it may use more for a while.

    The larger of KRR's 95th percentile, of the peak that growth leads to, and of the Vertical Pod Autoscaler's target.
    """
    throttled = others.get("throttled")
    if throttled is not None and throttled.mean > MOST_THROTTLED:
        return f"it was throttled in {throttled.mean:.1%} of the periods: what it would use is not seen"
    grown = use.growth * GROWTH_DAYS
    by_percentile, target = use.usage.high + grown, use.usage.sizing(1.0, size * FIRST_BUCKET).target
    rule = "95th percentile (KRR)" if by_percentile >= target else "the Vertical Pod Autoscaler's target"
    risks = (f"the peak of a day grows: {GROWTH_DAYS:.0f} days of it are included",) if grown else ()
    need = Need(max(by_percentile, target), rule, min(by_percentile, target), risks)
    return _rounded(need, LEAST_REQUESTED_CORES, 1.0, (*need.risks, "a peak above it competes for what the node has"))


def memory_request(use: Use, size: float, others: Others) -> Need | str:
    """Size the memory request of a container, in bytes: its peak, since memory is not given back."""
    if _happened(others, "killed", "ended"):
        return KILLED
    need = limit_need(use, size)
    return _rounded(need, LEAST_REQUESTED_BYTES, float(2**20), need.risks)


def machine_cores(use: Use, size: float, others: Others) -> Need | str:
    """Size the CPU of the machines of a service, in whole cores."""
    del others
    need = limit_need(use, size)
    wanted = max(1.0, _whole(need.size / TARGET_UTILISATION))
    return Need(
        wanted,
        f"{need.words} at {TARGET_UTILISATION:.0%} use",
        min(wanted, need.least / TARGET_UTILISATION),
        need.risks,
    )


def machine_memory(use: Use, size: float, others: Others) -> Need | str:
    """Size the memory of the machines of a service, in bytes, in whole GiB."""
    if _happened(others, "killed"):
        return KILLED
    need = limit_need(use, size)
    wanted = _whole(need.size / MACHINE_MEMORY_USED / 2**30) * 2**30
    words = f"{need.words} at {MACHINE_MEMORY_USED:.0%} use"
    return Need(wanted, words, min(wanted, need.least / MACHINE_MEMORY_USED), need.risks)


def replica_count(use: Use, size: float, others: Others) -> Need | str:
    """Size the number of replicas; the use is the CPU that all of them take, in cores."""
    one, rate, limit = others.get("one"), others.get("rate"), others.get("limit")
    if one is None or rate is None or rate.peak <= 0:
        return "nothing shows that it serves requests"
    # A process of one interpreter uses one core; where one was seen to use more, it can.
    cores = min(max(1.0, one.peak), max(limit.peak, LEAST_CORES) if limit is not None else math.inf)
    need = limit_need(use, size * cores)
    wanted = _whole(need.size / (TARGET_UTILISATION * cores))
    words = f"{need.words} at {TARGET_UTILISATION:.0%} of {cores:.2g} cores each"
    capacity = others.get("capacity")
    if capacity is not None and capacity.peak > 0:
        by_rate = _whole((rate.peak + rate.growth * GROWTH_DAYS) * MARGIN / capacity.peak)
        if by_rate > wanted:
            wanted, words = (
                by_rate,
                f"peak of requests + 15% at {capacity.peak:.3g}/s each, the least of their capacity",
            )
    risks = () if capacity is not None else ("no capacity of a replica is known: the CPU alone decides",)
    wanted = max(float(LEAST_REPLICAS), wanted)
    used = use.peak / (wanted * cores)
    return Need(wanted, words, float(LEAST_REPLICAS), (*need.risks, *risks), used)


def pool_connections(use: Use, size: float, others: Others) -> Need | str:
    """Size a connection pool as a queue whose offered load is the most connections that were in use."""
    if _happened(others, "timeouts"):
        return "callers waited for a connection without success"
    waiting = others.get("waiting")
    if waiting is not None and waiting.peak >= 1.0:
        return f"up to {waiting.peak:.2g} callers waited for a connection"
    load = use.peak + use.growth * GROWTH_DAYS
    if load >= size:
        return "all of it is used"
    wanted = float(servers_for_wait(load, WAIT_GOAL))
    words = f"with {load:.3g} in use at most, {WAIT_GOAL:.0%} of the callers wait"
    return Need(wanted, words, min(wanted, _whole(use.peak)), ("connections in use are counted at each scrape",))


def disk_bytes(use: Use, size: float, others: Others) -> Need | str:
    """Size a file system, in whole GiB; most shrink only by moving the data to a new one."""
    del size, others
    if use.days < DISK_DAYS:
        return f"{use.days:.2g} days say nothing about how a disk fills"
    wanted = (use.peak + use.growth * DISK_GROWTH_DAYS) / DISK_USED
    return Need(
        _whole(wanted / 2**30) * 2**30,
        f"{DISK_USED:.0%} full at the most that was used"
        + (f" and {DISK_GROWTH_DAYS:.0f} days of growth" if use.growth else ""),
        use.peak,
        ("most file systems shrink only by a move to a new one", "a smaller volume may have fewer operations a second"),
    )


def useless_cache(use: Use, size: float, others: Others) -> Need | str:
    """Say whether a cache has lookups and no hits; the use is its hits per second."""
    del size
    lookups, share = others.get("lookups"), others.get("share")
    if lookups is None or lookups.mean < LEAST_CACHE_RATE:
        return "it has no real traffic"
    if use.mean > NO_HITS * lookups.mean or (share is not None and share.peak > SOME_HITS):
        return "it has hits"
    words = f"of {lookups.mean:.3g} lookups per second {use.mean / lookups.mean:.1%} were hits"
    return Need(0.0, words, 0.0, ("what is behind the cache has answered nearly every lookup already",))


def idle_gpu(use: Use, size: float, others: Others) -> Need | str:
    """Say whether a GPU was never used; the use is the share of the time in which it ran anything."""
    del size, others
    if use.peak >= IDLE_GPU:
        return "it is used"
    risks = ("its use is counted in samples: work of a moment may be missed", "a model that is loaded is gone with it")
    return Need(0.0, f"in use for {use.peak:.1%} of a sample at most", 0.0, risks)


def _happened(others: Others, *names: str) -> bool:
    return any((seen := others.get(name)) is not None and seen.peak > 0 for name in names)


def _whole(value: float) -> float:
    """Return the next whole number, infinity for what is not finite."""
    return float(math.ceil(value)) if math.isfinite(value) else math.inf


def _rounded(need: Need, least: float, unit: float, risks: tuple[str, ...]) -> Need:
    """Return a need rounded up to two significant digits of a unit, so that it stays the same from hour to hour."""
    return Need(max(least, round_up(need.size / unit) * unit), need.words, max(need.least, 0.0), risks)


def round_up(value: float) -> float:
    """Return the next number of two significant digits, never a smaller one."""
    if value <= 0 or not math.isfinite(value):
        return value
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = math.ceil(value / digit - 1e-9) * digit
    return rounded if rounded >= value else rounded + digit
