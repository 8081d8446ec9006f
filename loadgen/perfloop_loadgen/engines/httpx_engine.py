"""HTTP/2, by httpx: slower than the program's own HTTP/1.1, with the same outcomes and the same clock."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import httpx

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.http1.client import outcome_of
from perfloop_loadgen.engines.resolving import resolve
from perfloop_loadgen.ports import Clock, Head, Receiver

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Request, Target

# httpx frames bodies itself, and HTTP/2 has no Host.
_OWN_HEADERS = frozenset({"host", "content-length"})


@dataclass(frozen=True, slots=True)
class HttpxLimits:
    """How long an exchange may take, and how much of a body is kept for checks and extracts."""

    timeout_seconds: float
    max_body_bytes: int


class _BodyTooLargeError(Exception):
    """The body is longer than what checks and extracts may read."""


class HttpxEngine:
    """One httpx client for all lanes, with a pool of unlimited size."""

    def __init__(
        self, target: Target, limits: HttpxLimits, clock: Clock, *, tls: ssl.SSLContext | None, http2: bool
    ) -> None:
        self.target = target
        self.clock = clock
        self.limits = limits
        self._tls = tls
        self._http2 = http2
        self.http: httpx.AsyncClient

    async def open(self) -> None:
        """Check that the name resolves, and make the client."""
        await resolve(self.target, self.limits.timeout_seconds)
        self.http = httpx.AsyncClient(
            base_url=f"{self.target.scheme}://{self.target.authority}",
            http2=self._http2,
            verify=self._tls or True,
            timeout=self.limits.timeout_seconds,
            # The load model decides how many requests are under way: a pool that queued would hide it.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            # A proxy from the environment would be measured instead of the service.
            trust_env=False,
        )
        # One jar for all users would grow with every cookie of the server, and send each user the others'.
        self.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def client(self, receiver: Receiver) -> HttpxClient:
        """Return a new client that reports to the receiver."""
        return HttpxClient(self, receiver)

    async def close(self) -> None:
        """Close the pool."""
        await self.http.aclose()


class HttpxClient:
    """One exchange at a time, as a task."""

    def __init__(self, engine: HttpxEngine, receiver: Receiver) -> None:
        self._engine = engine
        self._receiver = receiver
        self._task: asyncio.Task[None] | None = None

    def send(self, request: Request) -> None:
        """Start an exchange."""
        self._task = asyncio.get_running_loop().create_task(self._exchange(request))

    def abort(self) -> bool:
        """Give up the exchange under way; httpx does not report how far it was."""
        if self._task is not None:
            self._task.cancel()
        return False

    def close(self) -> None:
        """Give up what is under way."""
        self.abort()

    async def _exchange(self, request: Request) -> None:
        try:
            head, body, size = await self._request(request)
        except _BodyTooLargeError:
            self._receiver.failed(outcomes.BODY_TOO_LARGE, self._engine.clock())
            return
        except Exception as error:  # noqa: BLE001 - a server can make the libraries below raise more than they promise
            self._receiver.failed(_outcome_of(error), self._engine.clock())
            return
        self._receiver.answered(head, size, body, self._engine.clock())

    async def _request(self, request: Request) -> tuple[Head, bytes, int]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        parts: list[bytes] = []
        size = 0
        http = self._engine.http
        async with http.stream(request.method, request.path, headers=headers, content=request.body) as answer:
            async for piece in answer.aiter_raw():
                size += len(piece)
                if request.streams:
                    self._receiver.received(piece, self._engine.clock())
                if request.wants_body:
                    if size > self._engine.limits.max_body_bytes:
                        raise _BodyTooLargeError
                    parts.append(piece)
        lines = [b"HTTP %d" % answer.status_code, *(name + b": " + value for name, value in answer.headers.raw)]
        raw = b"\r\n".join(lines)
        return Head(answer.status_code, size, keep_alive=True, raw=raw), b"".join(parts), size + len(raw)


def _outcome_of(error: Exception) -> str:
    """Return the outcome of an httpx error, the same as the HTTP/1.1 engine's; its cause is deeper in the chain."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and (cause.errno is not None or isinstance(cause, ssl.SSLError)):
            return outcome_of(cause)
        cause = cause.__cause__ or cause.__context__
    for words, outcome in _CLOSED.items():
        if words in str(error):
            return outcome
    for kind, outcome in _KINDS:
        if isinstance(error, kind):
            return outcome
    return outcomes.CONNECT_FAILED


# httpx reports a closed connection only by its message; the last is HTTP/2's GOAWAY.
_CLOSED = {
    "Server disconnected": outcomes.CLOSED_BEFORE_ANSWER,
    "peer closed connection": outcomes.CLOSED_MID_ANSWER,
    "ConnectionTerminated": outcomes.CLOSED_BEFORE_ANSWER,
}
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectTimeout, outcomes.CONNECT_TIMEOUT),
    (httpx.TimeoutException, outcomes.TIMEOUT),
    (httpx.RemoteProtocolError, outcomes.NOT_HTTP),
    (httpx.ReadError, outcomes.CONNECTION_RESET),
    (httpx.WriteError, outcomes.CONNECTION_RESET),
)
