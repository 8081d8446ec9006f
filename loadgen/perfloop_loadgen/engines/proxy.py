"""An HTTP proxy before the service under test: requests in absolute form, or a tunnel for TLS."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from perfloop_loadgen import outcomes
from perfloop_loadgen.config.addresses import ascii_host
from perfloop_loadgen.engines.failures import RefusedError
from perfloop_loadgen.engines.http1.head import LARGEST_HEAD, Malformed, find_head_end, parse_head

if TYPE_CHECKING:
    import socket

_DEFAULT_PORT = 80
_PIECE = 4096
_GOOD = range(200, 300)
_REASON = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3}[^\r\n]{0,80})")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy listens, and the value of the header by which it knows its user; a secret, so not in `repr`."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> Proxy:
        """Parse `http://[USER:PASSWORD@]HOST[:PORT]`."""
        parts = urlsplit(url)
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return cls(ascii_host(parts.hostname or ""), parts.port or _DEFAULT_PORT, authorization)

    def absolute(self, wire: bytes, authority: str) -> bytes:
        """Return a request as a proxy takes it, with the whole address in its first line (RFC 9112, section 3.2.2)."""
        method, _, rest = wire.partition(b" ")
        line, _, others = rest.partition(b"\r\n")
        return b"%b http://%b%b\r\n%b%b" % (method, authority.encode("ascii"), line, self._header(), others)

    async def open_tunnel(self, line: socket.socket, authority: str) -> None:
        """Ask for a tunnel to `authority` (RFC 9110, section 9.3.6).

        Raises:
            OSError: the proxy refused it, answered with something else, or closed the connection.
        """
        loop = asyncio.get_running_loop()
        target = authority.encode("ascii")
        await loop.sock_sendall(line, b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, self._header()))
        answer, end, begin = b"", -1, -1
        while end < 0:
            piece = await loop.sock_recv(line, _PIECE)
            answer += piece
            if not piece or len(answer) > LARGEST_HEAD:
                raise RefusedError(outcomes.PROXY_REFUSED, "it did not answer CONNECT")
            end, begin = find_head_end(answer)
        head, rest = answer[:end], answer[begin:]
        try:
            status = parse_head(head).status
        except Malformed as error:
            raise RefusedError(outcomes.PROXY_REFUSED, "it did not answer CONNECT with HTTP/1.1") from error
        # Behind the head is the tunnel, in which the client speaks first.
        if status not in _GOOD or rest:
            found = _REASON.match(head)
            words = found[1].decode("ascii", "replace") if found else str(status)
            raise RefusedError(outcomes.PROXY_REFUSED, f"it answered CONNECT with {words}")

    def _header(self) -> bytes:
        if self.authorization is None:
            return b""
        return b"Proxy-Authorization: %b\r\n" % self.authorization.encode("ascii")
