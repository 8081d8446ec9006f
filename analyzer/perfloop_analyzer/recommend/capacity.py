"""Expected improvements of more capacity: connections, cores, memory, and the users that are admitted.

Each is the fall of the use that is measured. It is computed from the sizes: the same demand makes use * size / wanted
of the new one. Demand that a full resource cuts off is not seen: there the new size is the least that is needed, and
the cautious bound is that whatever waits, or anything, fills it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.queueing import most_load, servers_for_wait, slowdown, waiting_callers
from perfloop_analyzer.planning.capacity.scalability import LEAST_LEVELS, Scalability, fit_scalability, load_levels
from perfloop_analyzer.recommend.estimates import (
    BLOCK,
    Estimate,
    Measured,
    UnknownGainError,
    level_now,
    positive,
    varied,
)
from perfloop_analyzer.recommend.recovery import return_to_expected
from perfloop_analyzer.recommend.rightsizing import memory_request
from perfloop_analyzer.recommend.rules import Computation

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.series import Floats

TARGET_UTILISATION = 0.7  # of cores, the Horizontal Pod Autoscaler's usual target
WAIT_GOAL = 0.05  # share of requests that may wait for a connection
FULL = 0.95  # use from which on demand counts as cut off; the critical limit of every resource of the catalogue
SAME_LOAD = 1.1  # times as much is the same: users of a load test, connections held and needed
SAME_LEVEL = 0.05  # of the users: they are the same level
NEIGHBOURS = 2  # levels on either side of the peak whose responses bound those at the peak
FIRST_CPU_BUCKET = 0.01  # cores, as in the Vertical Pod Autoscaler
NO_HISTORY = "there is no day of history to size it by"


def pool_size(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """A pool as an M/M/n queue whose servers are the connections: what is in use is the offered load.

    Connections that are held without work are released; else the pool is given the size at which 5% wait.
    """
    used = level_now("db_pool_connections", finding, measured)
    if used is None:
        return return_to_expected(Computation(method="return_to_expected"), finding, measured)
    share = positive(level_now(finding.signal, finding, measured) or finding.value, finding.title)
    used = positive(used, "the number of connections in use")
    size = max(1, round(used / share))
    # Several pools share one figure of the time: it is nobody's own.
    busy = measured.now(how.time or "", finding.service)
    has_own_time = (
        busy is not None and math.isfinite(busy) and measured.series("db_pool_connections", finding.service) <= 1
    )
    load = min(busy, used) if busy is not None and has_own_time else used
    if SAME_LOAD * load < used and servers_for_wait(load, WAIT_GOAL) <= size:
        return _released(finding, measured, load, (used, size))
    if servers_for_wait(used, WAIT_GOAL) <= size:
        return return_to_expected(Computation(method="return_to_expected"), finding, measured)
    return _enlarged(finding, measured, used, size)


def _released(finding: Finding, measured: Measured, load: float, held: tuple[float, int]) -> Estimate:
    """Return what releasing idle connections brings: at best what the queries need, else what was held before."""
    used, size = held
    wanted = servers_for_wait(load, WAIT_GOAL)
    words = (
        f"queries need {load:.2f} connections, {used:.3g} of {size} are held: {wanted} are enough once connections "
        f"are released, use falls from {used / size:.0%} to {load / size:.0%} at best"
    )
    back = return_to_expected(Computation(method="return_to_expected"), finding, measured)
    best = min(load / size * back.now / (used / size), back.best)
    return Estimate(finding.signal, back.now, max(best, back.then), best, back.worst, "pool_size", words)


def _enlarged(finding: Finding, measured: Measured, used: float, size: int) -> Estimate:
    wanted = servers_for_wait(used, WAIT_GOAL)
    lined_up = level_now("db_pool_waiting", finding, measured)
    if used / size < FULL:
        most = most_load(used, size, wanted)
        waits = f"{waiting_callers(used, size):.2g} callers wait on average"
        words = f"{used:.3g} busy connections: at {size} {waits}, at {wanted} {waiting_callers(used, wanted):.2g}"
    else:
        # Whoever waits holds a connection as soon as there is one. Nobody knows who does not even ask.
        most = math.inf if lined_up is None else used + lined_up
        waits = "" if lined_up is None else f" and {lined_up:.3g} callers wait"
        words = (
            f"all {size} connections are busy{waits}: what is needed beyond them is not seen; "
            f"at least {wanted} make 5% wait at most"
        )
    now, worst = used / size, min(most / wanted, 1.0)
    then = used / wanted if used / size < FULL else (used / wanted + worst) / 2
    resized = Estimate(finding.signal, now, then, used / wanted, worst, "pool_size", words, wanted)
    return _spread(resized, finding, measured)


def replicas(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """Cores by processor sharing: the larger of two numbers of cores, by 70% use and by days of past use."""
    cores = measured.now("cpu_cores", finding.service)
    if cores is None:
        return return_to_expected(how, finding, measured)
    whole = int(positive(cores, f"the number of cores of {finding.service}"))
    share = positive(level_now(finding.signal, finding, measured) or finding.value, finding.title)
    load = min(share, 1.0) * whole
    sized, past = _past_cores(finding, whole, measured)
    wanted = max(math.ceil(load / TARGET_UTILISATION), math.ceil(sized), 1)
    if wanted <= whole:
        return return_to_expected(how, finding, measured)
    after = f"{wanted} cores bring use to {load / wanted:.0%}"
    if share < FULL:
        most = most_load(load, whole, wanted)
        words = (
            f"{load:.2f} of {whole} cores are busy, shared work takes {slowdown(load, whole):.2g} times as long as "
            f"alone; {after} and that to {slowdown(load, wanted):.2g} times"
        )
    else:
        most = math.inf
        words = f"{load:.2f} of {whole} cores are busy, what is needed beyond them is not seen: at least {after}"
    worst = min(most / wanted, share)
    then = load / wanted if share < FULL else (load / wanted + worst) / 2
    resized = Estimate(
        *(finding.signal, share, then, load / wanted, worst, "replicas", words + past, wanted),
        added={"core_hour": float(wanted - whole)},
    )
    return _spread(resized, finding, measured)


def _spread(estimate: Estimate, finding: Finding, measured: Measured) -> Estimate:
    """Return an estimate with bounds that allow for a use that varies afterwards as it does now."""
    share = varied(finding.signal, finding, measured)
    return replace(estimate, best=estimate.best * (1 - share), worst=min(estimate.worst * (1 + share), 1.0))


def _past_cores(finding: Finding, cores: int, measured: Measured) -> tuple[float, str]:
    """Return the larger of KRR's CPU request and the VPA's target, and a sentence; 0 without days of history."""
    past = measured.past(finding.signal, finding)
    if past is None or not past.is_enough:
        return 0.0, f"; {NO_HISTORY}"
    request, sizing = past.high * cores, past.sizing(cores, FIRST_CPU_BUCKET)
    words = (
        f"; use of {past.days:.2g} days: {request:.2f} cores at the 95th percentile, {sizing.target:.2f} by the "
        "Vertical Pod Autoscaler"
    )
    return max(request, sizing.target), words


def right_size(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """KRR's memory rule: the peak of the days of history, and of the window, plus 15%."""
    total, past = measured.now("memory_total_bytes", finding.service), measured.past(finding.signal, finding)
    newest = measured.peak(finding.signal, finding.service)
    back = return_to_expected(how, finding, measured)
    if total is None or newest is None:
        return back
    total = positive(total, f"the memory of {finding.service}")
    if past is None or not past.is_enough:
        return replace(back, words=f"{back.words}; {NO_HISTORY}")
    peak = max(past.peak, newest)
    wanted = memory_request(peak * total)
    words = (
        f"peak use of {past.days:.2g} days is {peak * total / 2**30:.2f} GiB of {total / 2**30:.2f}; "
        f"peak + 15% is {wanted / 2**30:.2f} GiB"
    )
    if wanted <= total:
        return replace(back, words=f"{words}, which is there; {back.words}")
    share = positive(level_now(finding.signal, finding, measured) or finding.value, finding.title)
    # A peak at the top may have been cut off: with more memory there, more may be used.
    worst = share if peak >= FULL else share * total / wanted
    least = "at least " if peak >= FULL else ""
    now, then = share, share * total / wanted
    resized = Estimate(
        *(finding.signal, now, then, then, worst, "right_size", least + words, wanted),
        added={"memory_gib_hour": (wanted - total) / 2**30},
    )
    return _spread(resized, finding, measured)


def scalability(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """The Universal Scalability Law of the running load test: beyond its peak, fewer concurrent users are faster.

    The law says where the peak is; how long responses took there is what the test has measured on either side of it.

    Raises:
        UnknownGainError: The load grows, and the test does not show where throughput peaks.
    """
    del how
    names = ("load_users", "load_throughput", "api_latency_mean")
    users, throughput, latency = (measured.window(name, finding) for name in names)
    back = Computation(method="return_to_expected")
    if users is None or throughput is None or latency is None or not _grows(finding, measured):
        return return_to_expected(back, finding, measured)
    # Windows that share no scrape, each with the mean of its users: a quotient of sums is a mean, a gauge is a moment.
    spans = [
        np.lib.stride_tricks.sliding_window_view(one, BLOCK)[::-BLOCK][::-1] for one in (users, throughput, latency)
    ]
    levels, rates, times = spans[0].mean(axis=1), spans[1][:, -1], spans[2][:, -1]
    law = fit_scalability(levels, rates)
    if law is None:
        if len(load_levels(levels, rates)[0]) < LEAST_LEVELS:
            return return_to_expected(back, finding, measured)
        raise UnknownGainError("the load grows, and the load test does not show where throughput peaks")
    known = np.isfinite(levels) & np.isfinite(times)
    if levels[known][-1] <= law.peak:
        return return_to_expected(back, finding, measured)
    return _fewer_users(law, levels[known], times[known])


def _fewer_users(law: Scalability, levels: Floats, times: Floats) -> Estimate:
    """Return the response time at the peak: between those of the NEIGHBOURS levels below and above."""
    peak, most = law.peak, float(levels[-1])
    newest = np.abs(levels - most) <= SAME_LEVEL * most
    below, above = (np.flatnonzero(side) for side in (levels <= peak, (levels > peak) & ~newest))
    near = [*below[np.argsort(levels[below])[-NEIGHBOURS:]], *above[np.argsort(levels[above])[:NEIGHBOURS]]]
    now, around = positive(float(times[newest].mean()), "the mean response time"), times[near]
    order = np.argsort(levels[near])
    then = float(np.interp(peak, levels[near][order], around[order]))
    words = (
        f"throughput peaks at {peak:.0f} concurrent users with {law.throughput(peak):.1f} requests per second; "
        f"{most:.0f} get {law.throughput(most):.1f}: admitting no more than that shortens responses by "
        f"{max(1 - then / now, 0):.0%}"
    )
    return Estimate("api_latency_mean", now, then, float(around.min()), float(around.max()), "scalability", words, peak)


def _grows(finding: Finding, measured: Measured) -> bool:
    """Return whether the load test has more users than before the finding: only then fewer may be the answer."""
    course = measured.course("load_users", finding)
    if course is None or not len(course.before) or not len(course.after):
        return course is not None
    return float(course.after[-1]) > SAME_LOAD * float(np.median(course.before))
