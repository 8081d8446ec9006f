"""Queues: how long work waits at n servers, how much it slows down, and how many servers keep that small.

Everything is a function of the offered load a = arrival rate x mean service time, in servers; a/n is the use.

- M/M/n, first come first served (A. K. Erlang, 1917): connection pools. Erlang B follows the numerically stable
  recursion B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)); an arrival waits with the probability
  C = B / (1 - (a/n) (1 - B)), and C a / (n - a) callers wait on average (by Little's law).
- Processor sharing at n cores, M/G/n-PS (Kleinrock, "Queueing Systems" II, 1976, 4.4; Cohen, 1979): CPUs. Nobody
  waits; all share. As many jobs are there as in M/M/n, whatever the distribution of their sizes, so a job takes
  1 + C / (n - a) times as long as alone; at one core that is 1 / (1 - a).
- M/M/n//N, callers that are finite in number (machine repairman; Palm, 1947): who waits for an answer asks no further
  question, so that more servers make more load, by a known amount at most.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

MOST_SERVERS = 100_000
CALLERS = 8  # populations that are tried, from the fewest that can make the load to OPEN
OPEN = 20.0  # times the servers: so many callers load another number of servers as an endless stream would
HALVINGS = 25


def wait_probability(load: float, servers: int) -> float:
    """Return the probability that an arrival finds every server busy; 1 when `load` (in servers) exceeds `servers`.

    NaN where the load is not finite or there is no server.
    """
    if not math.isfinite(load) or servers < 1:
        return math.nan
    if load <= 0:
        return 0.0
    if load >= servers:
        return 1.0
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def waiting_callers(load: float, servers: int) -> float:
    """Return how many wait in line on average, first come first served; infinite when `load` reaches `servers`."""
    chance = wait_probability(load, servers)
    return math.inf if load >= servers else chance * load / (servers - load)


def slowdown(load: float, servers: int) -> float:
    """Return how many times as long as alone a job takes where `servers` cores are shared; infinite at full use."""
    chance = wait_probability(load, servers)
    return math.inf if load >= servers else 1.0 + chance / (servers - load)


def servers_for_wait(load: float, most: float) -> int:
    """Return the smallest number of servers with which at most the share `most` of the arrivals waits.

    `load` is the offered load in servers. The answer is MOST_SERVERS when not even that many suffice.

    Raises:
        ValueError: The load is not finite.
    """
    if not math.isfinite(load):
        raise ValueError(f"a load of {load} has no number of servers")
    blocked, count = 1.0, 0
    while count < MOST_SERVERS:
        count += 1
        blocked = load * blocked / (count + load * blocked) if load > 0 else 0.0
        if load < count and blocked / (1.0 - load / count * (1.0 - blocked)) <= most:
            return count
    return MOST_SERVERS


def busy_servers(callers: int, eagerness: float, servers: int) -> float:
    """Return how many of `servers` a finite number of callers keeps busy on average.

    Args:
        callers: N; each pauses, calls, and waits for the answer before it pauses again.
        eagerness: Mean service time over the mean pause.
        servers: n.
    """
    there = np.arange(1, callers + 1, dtype=np.float64)
    steps = np.log((callers - there + 1) * eagerness / np.minimum(there, servers))
    weights = np.concatenate([[0.0], np.cumsum(steps)])
    chances = np.exp(weights - weights.max())
    return float((chances * np.minimum(np.arange(callers + 1), servers)).sum() / chances.sum())


@lru_cache(maxsize=1024)  # a recommendation is made again when its part is known
def most_load(load: float, servers: int, wanted: int) -> float:
    """Return the greatest load on `wanted` servers of any finite number of callers that makes `load` on `servers`.

    Callers that are endless in number make the same load on any number of servers; the fewer they are, the more they
    wait for one another.
    """
    fewest, most = max(math.floor(load) + 1, 2), max(OPEN * servers, 2.0 * math.floor(load) + 2)
    populations = np.unique(np.geomspace(fewest, most, CALLERS).round().astype(int))
    return max(load, *(busy_servers(int(n), _eagerness(int(n), load, servers), wanted) for n in populations))


def _eagerness(callers: int, load: float, servers: int) -> float:
    """Return the eagerness with which so many callers make the load, by bisection of its logarithm."""
    low, high = -10.0, 10.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if busy_servers(callers, math.exp(middle), servers) < load:
            low = middle
        else:
            high = middle
    return math.exp(low)
