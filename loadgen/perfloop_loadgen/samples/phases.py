"""Where the time of a request goes: connect, TLS, wait for the first byte, receive the rest.

Most answers come whole, in one read, on a connection that is there already: such a request only waits, and its service
time is its wait. Nothing more is recorded for it, so that phases cost the common request nothing. The others (the first
request of a connection, an answer in several pieces) are recorded here, together with the service time that they have
in the tally as well, which is taken out of the waits again.
"""

from __future__ import annotations

from typing import Any

from perfloop_loadgen.samples.histogram import Histogram

_NAMES = ("connect", "tls", "wait_apart", "receive", "service_apart")


class Phases:
    """Histograms that add up without loss.

    Attributes:
        connect: TCP connections that were made.
        tls: TLS handshakes.
        receive: from the first byte of an answer to its last, of those that did not come whole.
        wait_apart: the waits of the requests that are recorded apart.
        service_apart: their service times.
    """

    __slots__ = _NAMES

    def __init__(self) -> None:
        self.connect = Histogram()
        self.tls = Histogram()
        self.wait_apart = Histogram()
        self.receive = Histogram()
        self.service_apart = Histogram()

    def record(self, started: int, sent: int, first: int, ended: int) -> None:
        """Count a request whose wait is not its whole service time; moments in nanoseconds."""
        self.service_apart.record(ended - started)
        self.wait_apart.record(first - sent)
        if ended > first:
            self.receive.record(ended - first)

    def by_name(self, service: Histogram) -> dict[str, Histogram]:
        """Return each phase that there was, from the service times of all requests."""
        named = {"connect": self.connect, "tls": self.tls, "wait": self._waited(service), "receive": self.receive}
        return {name: histogram for name, histogram in named.items() if histogram.counts}

    def _waited(self, service: Histogram) -> Histogram:
        waits = Histogram(service.counts)
        for bucket, count in self.service_apart.counts.items():
            waits.counts[bucket] -= count
            if waits.counts[bucket] <= 0:
                del waits.counts[bucket]
        waits.merge(self.wait_apart)
        return waits

    def add(self, other: Phases) -> None:
        """Add everything that the other counted."""
        for name in _NAMES:
            getattr(self, name).merge(getattr(other, name))

    def to_wire(self) -> dict[str, Any]:
        """Return plain values that another process can build the same from."""
        return {name: dict(getattr(self, name).counts) for name in _NAMES}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Phases:
        """Build what `to_wire` was called on."""
        phases = cls()
        for name in _NAMES:
            setattr(phases, name, Histogram(wire[name]))
        return phases
