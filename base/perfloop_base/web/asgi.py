"""The guard around an ASGI application: what a request must be before the application sees it.

It checks the Host header, TLS's other half (users and the rate limit of the web configuration file) and whether the
request may change something; it answers HEAD as GET without a body, names every method of a path in a 405, adds the
headers of every response, and turns an unexpected error into one log line and a 500.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from perfloop_base.web.headers import SECURITY, merged
from perfloop_base.web.hosts import request_refusal, split_target
from perfloop_base.web.lane import OVERLOADED, Lane
from perfloop_base.web.origins import change_refusal, origin_refusal
from perfloop_base.web.refusals import Refusal, length_refusal
from perfloop_base.web.settings import DEFAULTS, Web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from perfloop_base.web.gate import Gate

    # ASGI's, written out: the base install has no web framework to take them from.
    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Any, Any, Any], Awaitable[None]]

# What costs a core milliseconds, needs nothing that can be slow, and is answered in one piece.
PAGES = frozenset(("/", "/metrics", "/report"))
_BAD_REQUEST, _METHOD_NOT_ALLOWED = 400, 405
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")

log = logging.getLogger(__name__)


class Guard:
    """An ASGI application around another.

    Args:
        app: The application.
        gate: Users, rate limit and headers of the web configuration file.
        web: Which names are allowed, and what the application checks itself. Who sends its bearer token needs no user
            beside it, for which the one Authorization header would have no space.
    """

    def __init__(self, app: Application, gate: Gate, web: Web = DEFAULTS) -> None:
        self._app, self._gate, self._allowed, self._token = app, gate, web.allowed_hosts, web.token
        self._authenticates = web.authenticates
        self._lane = Lane()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._gate)
        try:
            refused = await self._check(scope)
            if refused is None:
                await self._pass(scope, receive, answer)
            else:
                await answer.refuse(refused)
        except Exception:  # the edge of the server: no request can end it
            if answer.client_gone:
                log.debug("the client went away", extra={"path": scope["path"]})
                return
            log.exception("request failed", extra={"path": scope["path"]})
            await answer.fail()

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Let the application answer: one of the pages in its lane, HEAD as GET."""
        inner = dict(scope, method="GET") if scope["method"] == "HEAD" else scope
        if scope["path"] not in PAGES or inner["method"] != "GET":
            await self._app(inner, answer.receive_from(receive), answer.send_for(inner))
            return
        async with self._lane.place() as entered:
            if entered:
                await self._app(inner, answer.receive_from(receive), answer.send_for(inner))
            else:
                await answer.refuse(OVERLOADED)

    async def _check(self, scope: Scope) -> Refusal | None:
        """Return why the request is refused; a target that is a whole URL becomes a path."""
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers = dict(pairs)
        refused = self._check_host(scope, pairs) or length_refusal(headers)
        if refused is None and not self._has_token(headers.get("authorization", "")):
            refused = await self._check_user(headers.get("authorization", ""))
        if refused is None and self._authenticates:
            return origin_refusal(scope["method"], headers, self._allowed)
        return refused or change_refusal(scope["method"], headers, self._allowed)

    def _check_host(self, scope: Scope, pairs: list[tuple[str, str]]) -> Refusal | None:
        target = scope["raw_path"].decode("latin-1")
        hosts = [value for name, value in pairs if name == "host"]
        refused = request_refusal(hosts, target, scope["http_version"], self._allowed)
        if refused is None and not target.startswith("/"):
            _, path = split_target(target)
            scope.update(raw_path=path.encode("latin-1"), path=unquote(path))
        return refused

    def _has_token(self, authorization: str) -> bool:
        return bool(self._token) and authorization == f"Bearer {self._token}"

    async def _check_user(self, authorization: str) -> Refusal | None:
        if self._gate.is_quick(authorization):
            return self._gate.refusal(authorization)
        return await asyncio.to_thread(self._gate.refusal, authorization)


class _Answer:
    """The response to one request."""

    def __init__(self, send: Send, gate: Gate) -> None:
        self._send, self._gate = send, gate
        self._started = False
        self.client_gone = False

    def receive_from(self, receive: Receive) -> Receive:
        """Return the application's `receive`, which notes that the client has gone."""

        async def noted() -> Message:
            message = await receive()
            self.client_gone = self.client_gone or message["type"] == "http.disconnect"
            return message

        return noted

    def send_for(self, scope: Scope) -> Send:
        """Return the application's `send`, which adds the headers."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
                if message["status"] == _METHOD_NOT_ALLOWED:
                    own = _with_methods(own, scope)
                await self._begin(message["status"], own)
            else:
                await self._send(message)

        return send

    async def refuse(self, refused: Refusal) -> None:
        """Send a refusal as plain text."""
        body = f"{refused.text}\n".encode()
        about = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        if refused.status == _BAD_REQUEST:
            # What follows a malformed request may be a part of it.
            about.append(("Connection", "close"))
        await self._begin(refused.status, (*about, *refused.headers))
        await self._send({"type": "http.response.body", "body": body})

    async def fail(self) -> None:
        """Send a 500 where nothing was sent."""
        if not self._started:
            await self.refuse(Refusal(500, "Internal Server Error"))

    async def _begin(self, status: int, own: Iterable[tuple[str, str]]) -> None:
        self._started = True
        headers = merged(self._gate.headers(), own, SECURITY)
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})


def _with_methods(own: list[tuple[str, str]], scope: Scope) -> list[tuple[str, str]]:
    """Return the headers of a 405 with every method that the path has; the framework names those of one route."""
    methods = {word.strip() for name, value in own if name.lower() == "allow" for word in value.split(",")} - {""}
    for route in getattr(scope.get("app"), "routes", ()):
        found = {method for method in _METHODS if _matches(route, scope, method)}
        if len(found) < len(_METHODS):  # one that takes every method, as a mount does, decides by itself
            methods |= found
    if "GET" in methods:
        methods.add("HEAD")
    return [pair for pair in own if pair[0].lower() != "allow"] + [("Allow", ", ".join(sorted(methods)))]


def _matches(route: Any, scope: Scope, method: str) -> bool:
    # Starlette's answers are none, partial (another method) and full.
    found, _ = route.matches(dict(scope, method=method))
    return bool(found.name == "FULL")
