"""Make the connections: to the service's addresses, to a Unix socket, or through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.engines.addresses import Addresses, Name, Peer
from perfloop_loadgen.engines.failures import RefusedError, most_informative, outcome_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from perfloop_loadgen.engines.proxy import Proxy

log = logging.getLogger(__name__)

# RFC 8305, section 5: the next address is tried while the one before it is silent.
_ATTEMPT_DELAY_SECONDS = 0.25
P = TypeVar("P", bound=asyncio.BaseProtocol)


def attempt_delay(timeout_seconds: float) -> float:
    """Return after how many seconds of silence the next address is tried: well within the time limit of all of them."""
    return min(_ATTEMPT_DELAY_SECONDS, timeout_seconds / 4)


@dataclass(frozen=True, slots=True)
class Tls:
    """Which certificates to trust and to show, and the name that the server's must hold for."""

    context: ssl.SSLContext
    server_name: str


@dataclass(frozen=True, slots=True)
class Route:
    """The way to the service under test.

    Attributes:
        name: what is connected to: the service's own host, another one instead of it, or the proxy.
        authority: HOST:PORT of the service, for the proxy.
        proxy: the proxy, if one is used.
        tunnels: whether the proxy is asked for a tunnel; else requests are sent to it.
        unix_socket: the path that is connected to instead of the name.
        resolve_interval_seconds: how often the name is looked up again; 0: never.
        first: which of the addresses the first connection uses.
    """

    name: Name
    authority: str = ""
    proxy: Proxy | None = None
    tunnels: bool = False
    unix_socket: Path | None = None
    resolve_interval_seconds: float = 0
    first: int = 0


class Dialer:
    """Connects sockets along a route."""

    def __init__(self, route: Route, timeout_seconds: float) -> None:
        self.route = route
        self.timeout_seconds = timeout_seconds
        self._addresses = Addresses(route.name, route.first)
        self._refresh: asyncio.Task[None] | None = None
        self._logged: set[str] = set()
        self._attempt_delay_seconds = attempt_delay(timeout_seconds)

    async def open(self, changed: Callable[[list[str]], list[str]]) -> None:
        """Look the name up, and go on doing so on the interval; `changed` is called as `Addresses.keep_fresh` says.

        A run measures the service, not the resolver: no request waits for a look-up.

        Raises:
            TargetError: the host does not resolve.
        """
        if self.route.unix_socket is not None:
            return
        await self._addresses.resolve(self.timeout_seconds)
        if self.route.resolve_interval_seconds:
            self._refresh = asyncio.get_running_loop().create_task(
                self._addresses.keep_fresh(self.route.resolve_interval_seconds, self.timeout_seconds, changed)
            )

    async def close(self) -> None:
        """Look nothing up any more."""
        if self._refresh is not None:
            self._refresh.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refresh

    @property
    def direct(self) -> Peer | None:
        """Return the one address that can be connected to without more ado; None where there is more to do."""
        if self.route.unix_socket is not None or self.route.tunnels:
            return None
        return self._addresses.only

    async def connect(self) -> tuple[socket.socket, str]:
        """Return a connected socket on which TLS or HTTP can begin, and the address as reports show it.

        Raises:
            OSError: no address accepted the connection, or the proxy refused it. The caller limits the time.
        """
        if self.route.unix_socket is not None:
            path = str(self.route.unix_socket)
            return await _connect(socket.AF_UNIX, path), path
        peers = self._addresses.in_turn()
        line, peer = await self._race(peers)
        if self.route.proxy is not None and self.route.tunnels:
            try:
                await self.route.proxy.open_tunnel(line, self.route.authority)
            except BaseException as error:
                line.close()
                if isinstance(error, RefusedError):
                    self._log_once(str(error))
                raise
        return line, peer.text

    async def _race(self, peers: Sequence[Peer]) -> tuple[socket.socket, Peer]:
        """Try the addresses one after the other, the next one as soon as the last has failed or is silent for a while.

        Raises:
            OSError: the most informative of the addresses' errors.
        """
        waiting = list(peers)
        attempts: dict[asyncio.Task[socket.socket], Peer] = {}
        failed: dict[Peer, OSError] = {}
        try:
            while waiting or attempts:
                if waiting:
                    peer = waiting.pop(0)
                    attempts[asyncio.ensure_future(_connect(peer.family, peer.sockaddr))] = peer
                delay = self._attempt_delay_seconds if waiting else None
                done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    peer = attempts.pop(task)
                    try:
                        line = task.result()
                    except OSError as error:
                        failed[peer] = error
                    else:
                        self._addresses.note_accepted(peer)
                        self._note_losers(peers[: peers.index(peer)], failed)
                        return line, peer
            raise most_informative(list(failed.values()))
        finally:
            for task in attempts:
                task.add_done_callback(_close_unused)
                task.cancel()

    def _note_losers(self, peers: Sequence[Peer], failed: Mapping[Peer, OSError]) -> None:
        """Remember the addresses that were tried before the one that accepted."""
        for peer in peers:
            error = failed.get(peer)
            if error is None:
                self._addresses.note_silent(peer, self._attempt_delay_seconds)
            else:
                self._addresses.note_failed(peer, outcome_of(error))

    def _log_once(self, sentence: str) -> None:
        if sentence not in self._logged:
            self._logged.add(sentence)
            log.warning("%s", shown(sentence))


async def _connect(family: int, address: str | tuple[Any, ...]) -> socket.socket:
    # With the protocol given, asyncio turns Nagle's delay off.
    line = socket.socket(family, socket.SOCK_STREAM, 0 if family == socket.AF_UNIX else socket.IPPROTO_TCP)
    try:
        line.setblocking(False)  # noqa: FBT003 - the name of the parameter says no more
        await asyncio.get_running_loop().sock_connect(line, address)
    except BaseException:
        line.close()
        raise
    return line


async def speak(build: Callable[[], P], line: socket.socket, tls: Tls | None) -> P:
    """Return a protocol on a connected socket, behind the handshake of TLS if there is any; else the socket is closed.

    Raises:
        OSError: the handshake failed.
        ValueError: TLS cannot carry the server's name.
    """
    loop = asyncio.get_running_loop()
    context, name = (None, None) if tls is None else (tls.context, tls.server_name)
    try:
        if line.family == socket.AF_UNIX:
            _, protocol = await loop.create_unix_connection(build, sock=line, ssl=context, server_hostname=name)
        else:
            _, protocol = await loop.create_connection(build, sock=line, ssl=context, server_hostname=name)
    except BaseException:
        line.close()
        raise
    return protocol


def _close_unused(task: asyncio.Task[socket.socket]) -> None:
    """Close what an attempt still connected after another one had won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
