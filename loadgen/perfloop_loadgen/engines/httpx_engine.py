"""HTTP/2 and HTTP/1.1 by httpcore, the core of httpx: slower than the program's own HTTP/1.1, with the same outcomes.

Each user has a connection of its own, as with the other engine: on one connection for all, a limit of streams would
queue requests, and one address would have all the load.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio.lowlevel
import httpcore

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.addresses import rebalance
from perfloop_loadgen.engines.dialing import Dialer, Route, Tls, speak
from perfloop_loadgen.engines.failures import RefusedError, outcome_of
from perfloop_loadgen.engines.http1.head import idle_seconds
from perfloop_loadgen.engines.httpx_stream import Stream
from perfloop_loadgen.engines.idle import IdleLimit
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.ports import Clock, Head, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.scenario.request import Request, Target

# What belongs to a connection of HTTP/1.1 has no place in HTTP/2 (RFC 9113, section 8.2.2).
_OF_A_CONNECTION = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"http2-settings"}
)
# The client's preface with an empty SETTINGS frame, and the first frame of the server's own (RFC 9113, section 3.4).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_FRAME_HEAD = 9
_SETTINGS = 4
_HTTP2 = "h2"
# httpcore's message for it.
_GOAWAY = "ConnectionTerminated"


@dataclass(frozen=True, slots=True)
class HttpxOptions:
    """How the service is spoken to.

    Attributes:
        timeout_seconds: for connecting; the run looks after that of each exchange.
        max_body_bytes: how much of a body is kept for checks and extracts.
        http2: whether HTTP/2 is spoken, agreed upon by ALPN; over clear text by prior knowledge. Nothing else is then.
    """

    timeout_seconds: float
    max_body_bytes: int
    http2: bool = False


class _BodyTooLargeError(Exception):
    """The body is longer than what checks and extracts may read."""


class HttpxEngine:
    """Connections of httpcore along the run's own route.

    Args:
        target: the service.
        route: the way to it.
        options: how the service is spoken to.
        clock: in nanoseconds.
        tls: None for clear text.
    """

    def __init__(self, target: Target, route: Route, options: HttpxOptions, clock: Clock, tls: Tls | None) -> None:
        self.target = target
        self.clock = clock
        self.options = options
        self.http2 = options.http2
        self.idle = IdleLimit()
        self.origin = httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port)
        self._tls = tls
        if tls is not None:
            tls.context.set_alpn_protocols([_HTTP2 if options.http2 else "http/1.1"])
        self._dialer = Dialer(route, options.timeout_seconds)
        self._clients: list[HttpxClient] = []
        self._on_wire: Callable[[bytes], bytes] | None = None
        if route.proxy is not None and not route.tunnels:
            self._on_wire = partial(route.proxy.absolute, authority=route.authority)

    async def open(self) -> None:
        """Resolve the name, and see whether the server speaks HTTP/2 if it must.

        Raises:
            TargetError: the host does not resolve, or the server does not speak HTTP/2.
        """
        # What httpcore loads with its first lock would have the first request wait for a tenth of a second.
        await anyio.lowlevel.checkpoint()
        await self._dialer.open(self._renew)
        if self.http2:
            await self._check_http2()

    def client(self, receiver: Receiver) -> HttpxClient:
        """Return a new client that reports to the receiver."""
        client = HttpxClient(self, receiver)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Stop looking after connections; the clients hold and close them."""
        await self._dialer.close()

    async def connect(self, ended: Callable[[], None]) -> Stream:
        """Return a new connection; `ended` is called when the server closes it.

        Raises:
            OSError: it could not be made, or the server did not agree to HTTP/2.
            ValueError: TLS cannot carry the server's name.
        """
        async with asyncio.timeout(self.options.timeout_seconds):
            line, peer = await self._dialer.connect()
            stream = await speak(lambda: Stream(peer, ended), line, self._tls)
        if self.http2 and self._tls is not None:
            agreed = stream.get_extra_info("ssl_object").selected_alpn_protocol()
            if agreed != _HTTP2:
                stream.abort()
                raise RefusedError(outcomes.HTTP2_NOT_OFFERED)
        return stream

    def request_of(self, request: Request) -> httpcore.Request:
        """Return a request as httpcore takes it: the same first line, headers and body that HTTP/1.1 would send."""
        wire = request.wire if self._on_wire is None else self._on_wire(request.wire)
        head, _, body = wire.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        method, _, rest = line.partition(b" ")
        pairs = [(name, value) for name, _, value in (field.partition(b": ") for field in fields)]
        if self.http2:
            pairs = [(name, value) for name, value in pairs if name.lower() not in _OF_A_CONNECTION]
        origin = self.origin
        url = httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=rest.rpartition(b" ")[0])
        return httpcore.Request(method, url, headers=pairs, content=body)

    def _renew(self, addresses: list[str]) -> list[str]:
        clients, taken = rebalance(self._clients, addresses)
        for client in clients:
            client.renew()
        return taken

    async def _check_http2(self) -> None:
        """Refuse a server that would have to be measured with HTTP/1.1; one that does not answer at all is counted."""
        speaks = True
        try:
            stream = await self.connect(lambda: None)
        except (OSError, ValueError) as error:
            speaks = outcome_of(error) != outcomes.HTTP2_NOT_OFFERED
        else:
            if self._tls is None:
                speaks = await _greets(stream, self.options.timeout_seconds)
            stream.abort()
        if not speaks:
            how = "by ALPN" if self._tls is not None else "to a client that begins with it"
            raise TargetError(
                f"http2: the server at {self.target.authority} does not offer HTTP/2 {how}: "
                "without http2 it is measured with HTTP/1.1"
            )


async def _greets(stream: Stream, timeout_seconds: float) -> bool:
    """Return whether a server answers the preface of HTTP/2 with its own, or not at all."""
    answer = b""
    try:
        async with asyncio.timeout(timeout_seconds):
            await stream.write(_PREFACE)
            while len(answer) < _FRAME_HEAD and (piece := await stream.read(_FRAME_HEAD)):
                answer += piece
    except TimeoutError:
        return True
    except (OSError, httpcore.WriteError):
        return False
    return len(answer) >= _FRAME_HEAD and answer[3] == _SETTINGS


class _Line:
    """One connection and the exchange under way on it.

    Attributes:
        stream: the bytes.
        connection: what httpcore makes of them.
        answers: how many exchanges ended well.
        idle_since: when the last of them did, in nanoseconds; 0 while another one is under way.
        received: bytes that had come when the exchange began.
        has_begun: whether the head of its answer has come.
    """

    __slots__ = ("_is_http2", "answers", "connection", "has_begun", "idle_since", "received", "stream")

    def __init__(self, stream: Stream, origin: httpcore.Origin, *, is_http2: bool) -> None:
        self.stream = stream
        kind = httpcore.AsyncHTTP2Connection if is_http2 else httpcore.AsyncHTTP11Connection
        self.connection: httpcore.AsyncConnectionInterface = kind(origin, stream)
        self._is_http2 = is_http2
        self.answers = 0
        self.idle_since = 0
        self.begin()

    def begin(self) -> None:
        """Begin an exchange."""
        self.idle_since = 0
        self.received = self.stream.received
        self.has_begun = False

    @property
    def is_unanswered(self) -> bool:
        """Return whether no byte of an answer has come; HTTP/2 has frames of its own before it."""
        return not self.has_begun if self._is_http2 else self.stream.received == self.received


class HttpxClient:
    """One exchange at a time, as a task, on a connection that is made when a request needs it."""

    def __init__(self, engine: HttpxEngine, receiver: Receiver) -> None:
        self._engine = engine
        self._receiver = receiver
        self._task: asyncio.Task[None] | None = None
        self._line: _Line | None = None
        self._connecting = False
        self._retiring = False

    @property
    def peer(self) -> str:
        """Return the address that the client is connected to; empty if it is not."""
        return "" if self._line is None else self._line.stream.peer

    def send(self, request: Request) -> None:
        """Start an exchange."""
        self._task = asyncio.get_running_loop().create_task(self._exchange(request))

    def abort(self) -> bool:
        """Give up the exchange under way; the next one takes a new connection."""
        connecting, self._connecting = self._connecting, False
        if self._task is not None:
            self._task.cancel()
        self._drop()
        return connecting

    def close(self) -> None:
        """Give up what is under way, and close the connection."""
        self.abort()

    def renew(self) -> None:
        """Take a new connection for the next request."""
        self._retiring = True

    async def _exchange(self, request: Request) -> None:
        receiver = self._receiver
        while True:
            line = self._usable()
            try:
                if line is None:
                    line = self._line = await self._connect()
                head, body, size = await self._ask(line, request)
            except _BodyTooLargeError:
                self._drop()
                receiver.failed(outcomes.BODY_TOO_LARGE, self._engine.clock())
            except Exception as error:  # noqa: BLE001 - a server can make the libraries below raise more than they promise
                self._drop()
                if line is not None and self._may_send_again(line, request, error):
                    receiver.retried()
                    continue
                receiver.failed(_outcome_of(error, line), self._engine.clock())
            else:
                now = line.idle_since = self._engine.clock()
                line.answers += 1
                receiver.answered(head, size, body, now)
            return

    def _usable(self) -> _Line | None:
        """Return the connection if the next request may be sent on it."""
        line, limit = self._line, self._engine.idle.nanoseconds
        if line is None:
            return None
        is_old = bool(limit) and self._engine.clock() - line.idle_since > limit
        if line.stream.ended or line.connection.is_closed() or self._retiring or is_old:
            self._drop()
            return None
        return line

    async def _connect(self) -> _Line:
        engine = self._engine
        task = self._task
        self._connecting, self._retiring = True, False
        try:
            stream = await engine.connect(self._note_end)
        finally:
            # A later exchange may have begun to connect meanwhile.
            if self._task is task:
                self._connecting = False
        return _Line(stream, engine.origin, is_http2=engine.http2)

    async def _ask(self, line: _Line, request: Request) -> tuple[Head, bytes, int]:
        line.begin()
        engine = self._engine
        parts: list[bytes] = []
        size = 0
        answer = await line.connection.handle_async_request(engine.request_of(request))
        line.has_begun = True
        async for piece in answer.aiter_stream():
            size += len(piece)
            if request.streams:
                self._receiver.received(piece, engine.clock())
            if request.wants_body:
                if size > engine.options.max_body_bytes:
                    raise _BodyTooLargeError
                parts.append(piece)
        await answer.aclose()
        lines = [b"HTTP %d" % answer.status, *(name + b": " + value for name, value in answer.headers)]
        raw = b"\r\n".join(lines)
        if not line.answers:
            self._receiver.spoke(answer.extensions["http_version"].decode("ascii"), line.stream.peer)
            engine.idle.announce(idle_seconds(raw))
        return Head(answer.status, size, keep_alive=True, raw=raw), b"".join(parts), size + len(raw)

    def _may_send_again(self, line: _Line, request: Request, error: Exception) -> bool:
        """Return whether the server closed a connection that it had answered on before any byte of this answer."""
        if not line.answers:
            return False
        if isinstance(error, httpcore.ConnectionNotAvailable):
            return True  # the server said by GOAWAY that it has not looked at the request
        # By GOAWAY it announces that it will close; httpcore does not wait for the answer that may still come.
        is_closed = line.stream.ended or _GOAWAY in str(error)
        return request.is_idempotent and line.is_unanswered and is_closed

    def _note_end(self) -> None:
        """Note that the server closed the connection."""
        line = self._line
        if line is not None and line.idle_since:
            self._engine.idle.observe(self._engine.clock() - line.idle_since)

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.stream.abort()


def _outcome_of(error: Exception, line: _Line | None) -> str:
    """Return the outcome of an error, the same as the HTTP/1.1 engine's; the cause of httpcore's is deeper in it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and (cause.errno is not None or isinstance(cause, ssl.SSLError | RefusedError)):
            return outcome_of(cause)
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if any(words in text for words in _CLOSED):
        return outcomes.CLOSED_BEFORE_ANSWER if line is None or line.is_unanswered else outcomes.CLOSED_MID_ANSWER
    for kind, outcome in _KINDS:
        if isinstance(error, kind):
            return outcome
    return outcomes.CONNECT_FAILED


# httpcore reports a closed connection only by its message.
_CLOSED = ("Server disconnected", "peer closed connection", _GOAWAY)
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, outcomes.CONNECT_TIMEOUT),
    (httpcore.ConnectionNotAvailable, outcomes.CLOSED_BEFORE_ANSWER),
    (httpcore.RemoteProtocolError, outcomes.NOT_HTTP),
    (httpcore.WriteError, outcomes.CONNECTION_RESET),
    (OSError, outcomes.CONNECTION_RESET),
)
