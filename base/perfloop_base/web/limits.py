"""How long a client may keep a connection, and how many there may be."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one server.

    Attributes:
        head_seconds: For the TLS handshake, and for a request's head from the accept or from its first byte after the
            request before: all of it, however many bytes come in between.
        idle_seconds: For a connection without any byte between two requests; Prometheus keeps its own open.
        patience_seconds: For a request's body and for taking the response, on top of its bytes at the slowest rate.
        slowest_bytes_per_second: The slowest rate of a client that is served.
        connections: The most open connections; beyond it the one that has been idle for longest goes.
        unsent_bytes: The most bytes of all responses that clients have not taken yet; beyond it the slowest go.
    """

    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    patience_seconds: float = 10.0
    slowest_bytes_per_second: float = 64 * 1024
    connections: int = 512
    unsent_bytes: int = 64 * 1024 * 1024

    def seconds_for(self, size: int) -> float:
        """Return how long a body or a response of `size` bytes may take."""
        return self.patience_seconds + size / self.slowest_bytes_per_second

    def most_connections(self) -> int:
        """Return the number of connections: at most half of the descriptors that the process may have.

        A soft limit that is lower than that is raised, as far as the system allows.
        """
        if resource is None:
            return self.connections
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * self.connections
        if soft != resource.RLIM_INFINITY and soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.connections if soft == resource.RLIM_INFINITY else max(1, min(self.connections, soft // 2))
