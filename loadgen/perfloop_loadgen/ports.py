"""What the rooms above ask of each other: a client that sends, a receiver that is told how it went, a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Request

# The monotonic clock, in nanoseconds; one for all processes of a machine.
Clock = Callable[[], int]


class Head:
    """The head of an answer; heads that repeat byte for byte are parsed once and shared."""

    __slots__ = ("keep_alive", "length", "raw", "status")

    CHUNKED = -1
    UNTIL_CLOSE = -2

    def __init__(self, status: int, length: int, keep_alive: bool, raw: bytes) -> None:  # noqa: FBT001 - a record's field
        self.status = status
        self.length = length
        self.keep_alive = keep_alive
        self.raw = raw


class Receiver(Protocol):
    """Whoever asked: exactly one of `answered` and `failed` is called for each `send`."""

    def answered(self, head: Head, size: int, body: bytes, now: int) -> None:
        """Take a whole answer; `body` is empty unless the request wants it."""

    def received(self, data: bytes, now: int) -> None:
        """Take a piece of the body as it comes, when the request streams."""

    def failed(self, outcome: str, now: int) -> None:
        """Take the name of what went wrong."""


class Client(Protocol):
    """One connection's worth of service under test: a single exchange at a time, reconnecting when it must."""

    def send(self, request: Request) -> None:
        """Start an exchange; how it ended is told to the receiver."""

    def abort(self) -> bool:
        """Give the exchange under way up, without a word to the receiver; say whether it was still connecting."""

    def close(self) -> None:
        """Let the connection go."""


class Engine(Protocol):
    """A way to speak to the service under test."""

    async def open(self) -> None:
        """Make ready: resolve the name, load certificates."""

    def client(self, receiver: Receiver) -> Client:
        """Return a new client that reports to the receiver."""

    async def close(self) -> None:
        """Let everything go."""
