"""Serve an ASGI application on one address until SIGTERM or SIGINT, and end with exit code 0.

Needs uvicorn, of the extras demo and analyzer.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack, contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import uvicorn

from perfloop_base.addresses import bound_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp

# Below the five seconds after which a supervisor may kill the program.
_GRACE_SECONDS = 3
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


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
        """Finish the requests in flight and end."""
        log.info("stopping")
        # In a thread: interrupting may take a moment, and the requests in flight need the loop meanwhile.
        Thread(target=self.on_stop, name="on-stop", daemon=True).start()
        self.should_exit = True


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *companions: AbstractAsyncContextManager[object],
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a stop signal.

    Args:
        app: the application.
        listener: a listening socket, as `addresses.listen` returns.
        companions: entered before serving starts and left after it has ended.
        on_stop: called in a thread at the stop signal, to end what requests in flight wait for.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        lifespan="on",
    )
    async with AsyncExitStack() as stack:
        for companion in companions:
            await stack.enter_async_context(companion)
        log.info("listening", extra={"address": str(bound_address(listener))})
        await _Server(config, on_stop).serve(sockets=[listener])
