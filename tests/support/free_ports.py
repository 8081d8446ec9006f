"""Ports for programs that tests start."""

from __future__ import annotations

import random
import socket

# Below what the system hands out to clients: a port that is free for a moment while its program restarts stays free.
_RANGE = range(15000, 32000)


def find_free_ports(count: int) -> list[int]:
    """Return loopback ports that nothing listened on a moment ago."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            break
    return found
