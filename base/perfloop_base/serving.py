"""Serve an ASGI application on one address until SIGTERM, and end with exit code 0."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import sys
from contextlib import AsyncExitStack, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

from perfloop_base.errors import ConfigError, ListenError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp

# Below the five seconds after which whoever stops us may lose patience.
_GRACE_SECONDS = 3
_LAST_PORT = 65535
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("demo")


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(flag: str, value: str) -> Address:
    """Read `host:port`; an empty host means every interface and port 0 means any free one."""
    host, separator, port = value.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > _LAST_PORT:
        message = f"{flag} has the value {value!r}: it must be host:port with a port from 0 to {_LAST_PORT}."
        raise ConfigError(message)
    return Address(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - node_exporter's grammar: `:9100` is every interface


def bind(flag: str, address: Address) -> socket.socket:
    """Take the port now, so that a taken one is a clear error before anything else has started."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named; else answers wait 40 ms for the caller's ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            message = (
                f"Port {address.port} of {flag}={address} is taken by another program: stop it, or choose another port."
            )
            raise ListenError(message) from error
        message = f"{flag} has the value '{address}', where nothing can listen: {error.strerror or error}."
        raise ConfigError(message) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener


def bound_address(listener: socket.socket) -> Address:
    """Return where a socket really listens: port 0 has become a number."""
    host, port = listener.getsockname()[:2]
    return Address(str(host), int(port))


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling, which would end the process by the signal instead of with code 0."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop)
        yield

    def stop(self) -> None:
        """Finish the requests under way and end."""
        log.info("stopping")
        # Beside the loop: what it interrupts may take a moment, and the requests under way go on meanwhile.
        Thread(target=self.on_stop, name="on-stop", daemon=True).start()
        self.should_exit = True


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *beside: AbstractAsyncContextManager[object],
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a stop signal; what is `beside` lives exactly as long, `on_stop` hurries what is under way."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        lifespan="on",
    )
    async with AsyncExitStack() as stack:
        for part in beside:
            await stack.enter_async_context(part)
        log.info("listening on http://%s", bound_address(listener))
        await _Server(config, on_stop).serve(sockets=[listener])


def set_up_logging() -> None:
    """One line per event on stderr."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # An SMTP session logs a line for each command.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
