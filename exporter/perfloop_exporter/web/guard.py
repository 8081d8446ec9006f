"""What a connection and a request have to be before the exporter answers, and the headers of every response."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from perfloop_base.web.headers import SECURITY, merged
from perfloop_base.web.hosts import request_refusal
from perfloop_exporter.web.messages import Headers, Request, Response, text_response

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from perfloop_base.web.gate import Gate
    from perfloop_base.web.refusals import Refusal

# Host headers that were found good, and lists of headers: neither is built again for every scrape.
KNOWN = 100


class Guard:
    """Applies the web configuration file and the check of the Host header.

    Args:
        gate: The web configuration file; None without one.
        allowed_hosts: Names beside the private ones, as `hosts.parse_allowed_hosts` returns them.
    """

    def __init__(self, gate: Gate | None = None, allowed_hosts: Collection[str] = ()) -> None:
        self._gate, self._allowed = gate, allowed_hosts
        self._good_hosts: set[tuple[str, ...]] = set()
        self._merged: dict[tuple[Headers, Headers], Headers] = {}

    def wrap(self, accepted: socket.socket) -> socket.socket:
        """Return the connection to use: with TLS where the file says so, its handshake not yet begun.

        Raises:
            OSError: The file is invalid, or has lost its TLS section since the start.
        """
        context = None if self._gate is None else self._gate.context()
        if context is None:
            return accepted
        return context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)

    def check_client(self, connection: socket.socket) -> None:
        """Check the client's certificate after the handshake.

        Raises:
            OSError: It has none of client_allowed_sans.
        """
        if self._gate is None or not isinstance(connection, ssl.SSLSocket):
            return
        if not self._gate.is_allowed(connection):
            raise ssl.SSLError("the client's certificate has none of client_allowed_sans")

    def check(self, request: Request) -> Response | None:
        """Return the error response to a request that is refused, else None."""
        refused = self._check_host(request)
        if refused is None and self._gate is not None:
            refused = self._gate.refusal(request.headers.get("authorization", ""))
        return None if refused is None else refusal_response(refused)

    def is_quick(self, request: Request) -> bool:
        """Return whether `check` takes no time that matters: no password has to be checked for it."""
        authorization = request.headers.get("authorization")
        return authorization is None or self._gate is None or self._gate.is_quick(authorization)

    def with_headers(self, own: Headers) -> Headers:
        """Return the headers of a response: its own, then the file's, then the secure defaults."""
        key = (own, () if self._gate is None else self._gate.headers())
        found = self._merged.get(key)
        if found is None:
            if len(self._merged) >= KNOWN:
                self._merged.clear()
            found = self._merged[key] = merged(*key, SECURITY)
        return found

    def _check_host(self, request: Request) -> Refusal | None:
        plain = request.target.startswith("/")
        if plain and request.hosts in self._good_hosts:
            return None
        refused = request_refusal(request.hosts, request.target, request.version, self._allowed)
        if refused is None and plain and request.hosts:
            if len(self._good_hosts) >= KNOWN:
                self._good_hosts.clear()
            self._good_hosts.add(request.hosts)
        return refused


def refusal_response(refused: Refusal) -> Response:
    """Return a refusal as a response."""
    return text_response(refused.status, f"{refused.text}\n")._replace(headers=refused.headers)
