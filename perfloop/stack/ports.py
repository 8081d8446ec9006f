"""Whether the ports are free, and who holds those that are not."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import psutil

from perfloop.stack.errors import PortsTakenError
from perfloop_base.home import port_variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def _try(port: int) -> int:
    """Return the error number of listening on 127.0.0.1:`port`, or 0. A kernel without IPv4 is like one without lo."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        return errno.EADDRNOTAVAIL if error.errno == errno.EAFNOSUPPORT else error.errno or errno.EADDRINUSE
    return 0


def is_free(port: int) -> bool:
    """Return whether a program could listen on 127.0.0.1:`port` now."""
    return _try(port) == 0


def find_holder(port: int) -> str:
    """Return who listens on `port`: `nginx (pid 12)`, or `another user's process` where that cannot be seen."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "a process that this user cannot see"
    for connection in connections:
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
            and connection.pid
        ):
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"pid {connection.pid}"
    return "a process that this user cannot see"


def require_free(ports: Mapping[str, int], names: Iterable[str]) -> None:
    """Check that every named port is free.

    Raises:
        PortsTakenError: naming each taken port, its holder and the variable that moves it; or no 127.0.0.1 is there.
    """
    if _try(0) == errno.EADDRNOTAVAIL:
        raise PortsTakenError(
            "127.0.0.1 is no address of this machine, and the components listen there: "
            "`ip addr add 127.0.0.1/8 dev lo` gives it back; no other IPv4 address is needed"
        )
    problems = [
        f"port {ports[name]} for {name} is taken by {find_holder(ports[name])}: "
        f"stop that, or set {port_variable(name)} to a free port"
        for name in names
        if not is_free(ports[name])
    ]
    if problems:
        raise PortsTakenError("\n".join(problems))
