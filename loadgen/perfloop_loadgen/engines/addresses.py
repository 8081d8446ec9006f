"""The addresses of a name: looked up at the start and again on an interval, used in turn by new connections."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from collections import Counter, deque
from contextlib import suppress
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from perfloop_loadgen.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Peer(NamedTuple):
    """One address; `text` is how reports show it."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    text: str


class Name(NamedTuple):
    """A host and a port, the key of the test file they come from, and addresses that replace the name server's."""

    host: str
    port: int
    key: str = "base_url"
    fixed: tuple[str, ...] = ()


class Addresses:
    """What a name stands for. Addresses that did not accept connections are used last, until the next look-up."""

    def __init__(self, name: Name, first: int = 0) -> None:
        self.name = name
        self._peers: list[Peer] = []
        self._failed: set[Peer] = set()
        self._accepted: set[Peer] = set()
        self._reported: set[Peer] = set()
        # Workers begin at different addresses: with a few users each, all would use the first ones else.
        self._turn = first
        # Addresses of which some connections are to be made before it goes on in turn.
        self._next: deque[str] = deque()

    @property
    def only(self) -> Peer | None:
        """Return the address if there is no other one."""
        return self._peers[0] if len(self._peers) == 1 else None

    async def resolve(self, timeout_seconds: float) -> None:
        """Look the name up; a name server that is silent is not waited for longer.

        Raises:
            TargetError: the host does not resolve.
        """
        host, key = self.name.host, self.name.key
        try:
            async with asyncio.timeout(timeout_seconds):
                self._peers = await self._look_up()
        except TimeoutError as error:
            raise TargetError(
                f"{key}: the host {host!r} does not resolve: no answer within {timeout_seconds:g} s"
            ) from error
        except (OSError, UnicodeError, RuntimeError) as error:  # the last: no thread could be started
            raise TargetError(f"{key}: the host {host!r} does not resolve: {error}") from error
        if not self._peers:
            raise TargetError(f"{key}: the host {host!r} does not resolve: it has no IPv4 or IPv6 address")

    async def keep_fresh(
        self, interval_seconds: float, timeout_seconds: float, changed: Callable[[list[str]], list[str]]
    ) -> None:
        """Look the name up again and again.

        Args:
            interval_seconds: between two look-ups.
            timeout_seconds: how long each may take; one that fails leaves the addresses of before.
            changed: called with the addresses when there are others than before; returns those that the next
                connections should go to.
        """
        while True:
            await asyncio.sleep(interval_seconds)
            self._failed.clear()
            self._accepted.clear()
            before = set(self._peers)
            with suppress(TargetError):
                await self.resolve(timeout_seconds)
            if set(self._peers) != before:
                texts = [peer.text for peer in self._peers]
                log.info("%s has other addresses now: %s", self.name.host, ", ".join(texts))
                self._next = deque(changed(texts))

    def in_turn(self) -> list[Peer]:
        """Return every address in the order in which one connection tries them; each call begins with the next one."""
        good = [peer for peer in self._peers if peer not in self._failed] or self._peers
        first = self._turn % len(good)
        if self._next:
            wanted = self._next.popleft()
            first = next((place for place, peer in enumerate(good) if peer.text == wanted), first)
        else:
            self._turn += 1
        return [*good[first:], *good[:first], *(peer for peer in self._peers if peer not in good)]

    def note_accepted(self, peer: Peer) -> None:
        """Remember that an address accepted a connection."""
        self._accepted.add(peer)

    def note_silent(self, peer: Peer, seconds: float) -> None:
        """Remember that an address was silent for so long, unless it has accepted others: then it is busy, not away."""
        if peer not in self._accepted:
            self.note_failed(peer, f"silent for {seconds:g} s")

    def note_failed(self, peer: Peer, why: str) -> None:
        """Remember that an address did not accept a connection while another one did."""
        self._failed.add(peer)
        if peer not in self._reported:
            self._reported.add(peer)
            log.info(
                "%s of %s does not accept connections (%s): its other addresses are used",
                *(peer.text, self.name.host, why),
            )

    async def _look_up(self) -> list[Peer]:
        hosts = self.name.fixed or (self.name.host,)
        if all(is_ip(host) for host in hosts):
            found = [_peers_of(host, self.name.port, socket.AI_NUMERICHOST) for host in hosts]
        else:
            found = [await _in_thread(self.name.host, self.name.port)]
        return _interleaved(list(dict.fromkeys(chain.from_iterable(found))))


class Connected(Protocol):
    """Something that may be connected to an address."""

    @property
    def peer(self) -> str:
        """Return the address; empty without a connection."""


C = TypeVar("C", bound=Connected)


def rebalance(clients: Sequence[C], addresses: Sequence[str]) -> tuple[list[C], list[str]]:
    """Return the clients that should take a new connection, and the addresses for as many new connections.

    They are those whose address has gone, and of each other address those beyond its part of the load.
    """
    connected = [client for client in clients if client.peer]
    part = -(-len(connected) // len(addresses))
    users = Counter(dict.fromkeys(addresses, 0))
    moved: list[C] = []
    for client in connected:
        if client.peer in users and users[client.peer] < part:
            users[client.peer] += 1
        else:
            moved.append(client)
    taken: list[str] = []
    for _ in moved:
        least = min(users, key=users.__getitem__)
        users[least] += 1
        taken.append(least)
    return moved, taken


def is_ip(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address rather than a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _peers_of(host: str, port: int, flags: int = 0) -> list[Peer]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [
        Peer(family, (str(address[0]), int(address[1]), *address[2:]), str(address[0]))
        for family, _, _, _, address in found
        if family in _FAMILIES
    ]


async def _in_thread(host: str, port: int) -> list[Peer]:
    """Ask the system's resolver in a thread that nobody waits for: with a silent name server it takes minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Peer]] = loop.create_future()

    def deliver(found: list[Peer] | Exception) -> None:
        if future.done():
            return
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)

    def work() -> None:
        found: list[Peer] | Exception
        try:
            found = _peers_of(host, port)
        except (OSError, UnicodeError) as error:
            found = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(deliver, found)

    threading.Thread(target=work, name="look-up", daemon=True).start()
    return await future


def _interleaved(peers: Sequence[Peer]) -> list[Peer]:
    """Return the addresses with their families in turn, beginning with the system's choice (RFC 8305, section 4)."""
    if not peers:
        return []
    preferred = [peer for peer in peers if peer.family == peers[0].family]
    others = [peer for peer in peers if peer.family != peers[0].family]
    return [peer for pair in zip_longest(preferred, others) for peer in pair if peer is not None]
