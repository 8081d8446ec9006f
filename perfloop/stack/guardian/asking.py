"""Whether anything answers at an address, within a time that nothing can draw out."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

_LONGEST_STATUS_LINE = 1024


def answers(url: str, seconds: float) -> bool:
    """Return whether the address answers an HTTP request with any status within `seconds`.

    Any: a component that says 503 is not ready, but it does not hang. Only the first line is read, with one deadline
    for all of it: a socket's own time limit would begin again with each byte.
    """
    deadline = time.monotonic() + seconds
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.sendall(request.encode())
            received = b""
            while b"\n" not in received and len(received) < _LONGEST_STATUS_LINE:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                piece = connection.recv(_LONGEST_STATUS_LINE)
                if not piece or time.monotonic() > deadline:
                    break
                received += piece
    except OSError:
        return False
    return received.startswith(b"HTTP/") and b"\n" in received
