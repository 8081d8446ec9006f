"""The address of the service under test."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from perfloop_loadgen.errors import TargetError

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Target


async def resolve(target: Target, timeout_seconds: float) -> tuple[str, int]:
    """Return the address that the system prefers (RFC 6724); a name server that is silent is not waited for longer.

    Raises:
        TargetError: the host does not resolve.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise TargetError(
            f"base_url: the host {target.host!r} does not resolve: no answer within {timeout_seconds:g} s"
        ) from error
    except (OSError, UnicodeError) as error:
        raise TargetError(f"base_url: the host {target.host!r} does not resolve: {error}") from error
    host, port = found[0][4][:2]
    return str(host), int(port)
