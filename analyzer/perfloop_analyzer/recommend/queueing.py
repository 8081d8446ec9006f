"""Erlang C: the chance to wait before `servers` servers, and how many are needed (A. K. Erlang, 1917).

With offered load a = arrival rate x mean service time (in servers), Erlang B follows the stable recursion
B(0) = 1, B(n) = a B(n-1) / (n + a B(n-1)), and Erlang C is C = B / (1 - (a/n) (1 - B)); the mean wait is
C x service time / (n - a).
"""

from __future__ import annotations

MOST_SERVERS = 100_000


def wait_probability(load: float, servers: int) -> float:
    """Return the share of arrivals that find every server busy; 1 when the load cannot be carried."""
    if load <= 0:
        return 0.0
    if load >= servers:
        return 1.0
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def mean_wait(load: float, servers: int, service_seconds: float) -> float:
    """Return the mean seconds in the queue; infinite when the load cannot be carried."""
    if load >= servers:
        return float("inf")
    return wait_probability(load, servers) * service_seconds / (servers - load)


def servers_for_wait(load: float, most: float) -> int:
    """Return the fewest servers before which at most that share of arrivals waits."""
    blocked, count = 1.0, 0
    while count < MOST_SERVERS:
        count += 1
        blocked = load * blocked / (count + load * blocked) if load > 0 else 0.0
        if load < count and blocked / (1.0 - load / count * (1.0 - blocked)) <= most:
            return count
    return MOST_SERVERS
