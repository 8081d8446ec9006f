"""Erlang C: the probability that a request waits for one of n servers, and how many servers keep it small.

The M/M/n queue (A. K. Erlang, 1917). With offered load a = arrival rate x mean service time, in servers, Erlang B
follows the numerically stable recursion B(0) = 1, B(n) = a B(n-1) / (n + a B(n-1)), and Erlang C is
C = B / (1 - (a/n) (1 - B)).
"""

from __future__ import annotations

MOST_SERVERS = 100_000


def wait_probability(load: float, servers: int) -> float:
    """Return the probability that an arrival finds every server busy; 1 when `load` (in servers) exceeds `servers`."""
    if load <= 0:
        return 0.0
    if load >= servers:
        return 1.0
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def servers_for_wait(load: float, most: float) -> int:
    """Return the smallest number of servers with which at most the share `most` of the arrivals waits.

    `load` is the offered load in servers. The answer is MOST_SERVERS when not even that many suffice.
    """
    blocked, count = 1.0, 0
    while count < MOST_SERVERS:
        count += 1
        blocked = load * blocked / (count + load * blocked) if load > 0 else 0.0
        if load < count and blocked / (1.0 - load / count * (1.0 - blocked)) <= most:
            return count
    return MOST_SERVERS
