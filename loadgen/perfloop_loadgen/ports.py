"""The roles between engines and load models: a client that sends, a receiver of its answers, a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Request

# The monotonic clock, in nanoseconds; one for all processes of a machine.
Clock = Callable[[], int]


class Head:
    """The head of an answer: status, body length in bytes, and the bytes themselves.

    `idle_seconds` is how long the server says that it keeps an idle connection, 0 if it does not say. Heads that repeat
    byte for byte are parsed once and shared.
    """

    __slots__ = ("idle_seconds", "keep_alive", "length", "raw", "status")

    CHUNKED = -1
    UNTIL_CLOSE = -2

    def __init__(
        self,
        status: int,
        length: int,
        keep_alive: bool,  # noqa: FBT001 - a record's field
        raw: bytes,
        *,
        idle_seconds: int = 0,
    ) -> None:
        self.idle_seconds = idle_seconds
        self.status = status
        self.length = length
        self.keep_alive = keep_alive
        self.raw = raw


class Receiver(Protocol):
    """Takes the result of a request: exactly one of `answered` and `failed` is called for each `send`.

    `now` is in nanoseconds of the run's clock.
    """

    def answered(self, head: Head, size: int, body: bytes, now: int) -> None:
        """Take a whole answer; `body` is empty unless the request wants it."""

    def connected(self, connect: int, handshake: int) -> None:
        """Note a new connection, and how long TCP and TLS took to make it, in nanoseconds; 0 without TLS."""

    def spoke(self, protocol: str, address: str) -> None:
        """Note the first answer of a new connection: its protocol, as `HTTP/2`, and the address connected to."""

    def retried(self) -> None:
        """Note that the request is sent again: the server closed the connection, which was idle, before it answered."""

    def phased(self, sent: int, first: int, now: int) -> None:
        """Note when the request was sent and the first byte of its answer came; `answered` follows.

        Called where that is not just the whole time: for the first request of a connection, whose time has the
        connection's in it, and for an answer in several pieces. `sent` is 0 where it was sent as soon as it started.
        """

    def redirected(self, head: Head, size: int) -> None:
        """Note an answer that is a redirect, which the client follows; the request goes on."""

    def received(self, data: bytes, now: int) -> None:
        """Take a piece of the body as it comes, when the request streams."""

    def failed(self, outcome: str, now: int) -> None:
        """Take the outcome of a request without a whole answer (see `outcomes`)."""


class Client(Protocol):
    """At most one connection to the service under test, with a single exchange at a time; connects when it must."""

    def send(self, request: Request) -> None:
        """Start an exchange; its result goes to the receiver."""

    def abort(self) -> bool:
        """Give up the exchange under way without calling the receiver; return whether it was still connecting."""

    def close(self) -> None:
        """Close the connection."""


class Engine(Protocol):
    """A protocol by which the service under test is reached."""

    async def open(self) -> None:
        """Prepare: resolve the name, load certificates."""

    def client(self, receiver: Receiver) -> Client:
        """Return a new client that reports to the receiver."""

    async def close(self) -> None:
        """Close everything."""
