"""Services outside, made in a test: mail servers with TLS and accounts, web services, a proxy; and a CA of our own."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from tests.support.alerting_chain import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True)
class Authority:
    """A certificate authority and what a server that it vouches for uses."""

    certificate: Path
    server: ssl.SSLContext


def make_authority(directory: Path, *names: str) -> Authority:
    """Make a CA and a server's certificate for 127.0.0.1, localhost and further names."""
    ca, ca_key, key, wish, certificate = (directory / name for name in ("ca.pem", "ca.key", "key", "csr", "server.pem"))
    _openssl("req", "-x509", *_KEY, "-subj", "/CN=Test CA", "-keyout", str(ca_key), "-out", str(ca))
    _openssl("req", *_KEY, "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(wish))
    extensions = directory / "extensions"
    extensions.write_text(f"subjectAltName=IP:127.0.0.1,{','.join(f'DNS:{name}' for name in ('localhost', *names))}\n")
    signed = ("-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial", "-days", "2", "-extfile", str(extensions))
    _openssl("x509", "-req", "-in", str(wish), *signed, "-out", str(certificate))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return Authority(ca, server)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@dataclass
class Mails:
    """What a mail server took: envelopes, and whether each came by TLS and from whom."""

    port: int
    taken: list[Envelope] = field(default_factory=list)
    sessions: list[tuple[bool, bool]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Take a mail."""
        self.sessions.append(
            (
                session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None,
                bool(session.authenticated),
            )
        )
        self.taken.append(envelope)
        return "250 2.0.0 OK"


@contextmanager
def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    implicit: ssl.SSLContext | None = None,
    account: tuple[str, str] | None = None,
) -> Iterator[Mails]:
    """Serve mail on a free port, with TLS and an account where they are given."""
    mails = Mails(free_port())

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == account
        return AuthResult(success=known, handled=known)  # else nothing would be answered

    controller = Controller(
        mails,
        hostname="127.0.0.1",
        port=mails.port,
        ssl_context=implicit,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=authenticate if account else None,
        auth_required=account is not None and implicit is None,  # else it warns
        auth_exclude_mechanism=["LOGIN"],  # its questions are others than those that Alertmanager knows
        auth_require_tls=account is not None and implicit is None,
    )
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()


@dataclass
class Requests:
    """What a web service was asked: path, headers and body of each request."""

    url: str
    taken: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 200

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies that came to a path."""
        return [body for asked, _, body in self.taken if asked.split("?")[0] == path]


@contextmanager
def web_service(*, answer: Any = None, tunnel: ssl.SSLContext | None = None) -> Iterator[Requests]:
    """Serve HTTP on a free port; with `tunnel` as a proxy that answers itself for whatever host it is asked."""
    port = free_port()
    requests = Requests(f"http://127.0.0.1:{port}")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self) -> None:
            """Open a tunnel, whose other end is here."""
            self.send_response(200)
            self.end_headers()
            assert tunnel is not None
            self.connection = tunnel.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)  # type: ignore[assignment]
            self.host = "https://" + self.path.removesuffix(":443")

        def finish(self) -> None:
            """Close what a tunnel put in the place of the socket that the server knows."""
            super().finish()
            self.connection.close()

        def do_POST(self) -> None:
            """Note a request."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.taken.append((self.host + self.path, dict(self.headers), json.loads(body or b"null")))
            text = json.dumps(answer if answer is not None else {"status": "success"}).encode()
            self.send_response(requests.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name for it
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield requests
        finally:
            server.shutdown()
