"""The protocol that is spoken is reported, HTTP/2 is never measured as HTTP/1.1, and clients show certificates."""

from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.reporters.exposition import LoadgenCollector
from perfloop_loadgen.reporters.files import RENDERERS
from tests.loadgen.engines.test_against_nginx import nginx as nginx  # noqa: PLC0414 - a fixture
from tests.loadgen.engines.test_bad_answers import certificate as certificate  # noqa: PLC0414 - a fixture
from tests.loadgen.engines.test_hostile_answers import run
from tests.support.connections import Listener, greet, listening, proxy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.loadgen.engines.test_against_nginx import Nginx

ENGINES = pytest.mark.parametrize("engine", ["http1", "httpx"])
H2 = {"engine": "httpx", "http2": True, "tls": {"verify": False}}


def _protocols(summary: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in summary.total.connections:
        counts[one.protocol] = counts.get(one.protocol, 0) + one.count
    return counts


def _tls(context: ssl.SSLContext) -> Callable[[socket.socket, Listener], None]:
    def serve(connection: socket.socket, listener: Listener) -> None:
        wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with wrapped:
            try:
                wrapped.do_handshake()
            except ssl.SSLError:
                # Without reading what still comes, the kernel would reset the connection before the alert is read.
                with socket.socket(fileno=wrapped.detach()) as bare:
                    bare.shutdown(socket.SHUT_WR)
                    while bare.recv(65_536):
                        pass
                return
            greet(wrapped, listener)

    return serve


def _context(certificate: Path, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def test_the_protocol_is_in_every_report(nginx: Nginx):
    """Each user has a connection of its own; text, pages, JSON and metrics name what was spoken on it."""
    base = {"base_url": nginx.tls, "duration_seconds": 0.5, "concurrent_users": 3, "endpoints": [{"path": "/"}], **H2}
    tester = LoadTester(LoadTestConfig.model_validate(base))
    summary = uvloop.run(tester.run_load_test())
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _protocols(summary) == {"HTTP/2": 3}
    document = tester.document(summary)
    for kind in ("html", "markdown", "json"):
        assert b"HTTP/2" in RENDERERS[kind](document), kind
    collector = LoadgenCollector()
    collector.runs = [tester.live()]
    samples = [sample for family in collector.collect() for sample in family.samples]
    spoken = [sample for sample in samples if sample.name == "loadgen_connections_total"]
    assert [(sample.labels["protocol"], sample.value) for sample in spoken] == [("HTTP/2", 3)]


@ENGINES
def test_http1_is_named_by_its_version(nginx: Nginx, engine: str):
    """With a server that could speak HTTP/2, and with one that speaks HTTP/1.0."""
    spoken = run(nginx.tls, engine=engine, tls={"verify": False})[0]
    assert set(_protocols(spoken)) == {"HTTP/1.1"}

    def serve(connection: socket.socket, listener: Listener) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nok")

    with listening(serve) as server:
        summary, _ = run(server.url, engine=engine)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _protocols(summary) == {"HTTP/1.0": summary.total_requests}


def test_http2_through_a_proxy(nginx: Nginx):
    """The tunnel carries TLS, in which HTTP/2 is agreed upon."""
    with listening(proxy_of()) as proxy:
        summary, _ = run(nginx.tls, **H2, proxy=proxy.url)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _protocols(summary) == {"HTTP/2": 2}
    # One tunnel more: whether the server speaks HTTP/2 is asked before the run.
    assert len(proxy.requests) == 3


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)], ids=["no ALPN", "HTTP/1.1 alone"])
def test_a_server_without_http2_is_refused(certificate: Path, alpn: tuple[str, ...]):
    """One sentence and the exit code of a wrong setting; nothing was measured."""
    with listening(_tls(_context(certificate, *alpn))) as server, pytest.raises(TargetError) as caught:
        run(f"https://127.0.0.1:{server.port}", **H2)
    assert f"http2: the server at 127.0.0.1:{server.port} does not offer HTTP/2 by ALPN" in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
    assert server.requests == []


def test_a_server_that_stops_to_offer_http2(certificate: Path):
    """Counted under its own name rather than measured with HTTP/1.1."""
    contexts = iter([_context(certificate, "h2")])

    def serve(connection: socket.socket, listener: Listener) -> None:
        context = next(contexts, None) or _context(certificate)
        _tls(context)(connection, listener)

    with listening(serve) as server:
        summary, _ = run(f"https://127.0.0.1:{server.port}", **H2)
    assert set(summary.outcomes) == {"http2_not_offered"}


def test_a_server_that_is_not_there_is_counted(free_port: int):
    """Whether it would speak HTTP/2 nobody knows."""
    assert set(run(f"https://127.0.0.1:{free_port}", **H2)[0].outcomes) == {"connection_refused"}


def test_http2_over_clear_text_by_prior_knowledge(nginx: Nginx):
    """RFC 9113, section 3.3; a server of HTTP/1.1 is refused."""
    changes = {"engine": "httpx", "http2": "prior_knowledge"}
    summary, _ = run(nginx.h2c, **changes)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _protocols(summary) == {"HTTP/2": 2}
    with pytest.raises(TargetError, match="does not offer HTTP/2 to a client that begins with it"):
        run(nginx.plain, **changes)
    with listening() as server, pytest.raises(TargetError, match="does not offer HTTP/2"):
        run(server.url, **changes)


def test_http2_for_the_default_service_is_refused():
    """It speaks in the clear."""
    with pytest.raises(ConfigError, match="http2: true needs an https:// base_url"):
        LoadTester(LoadTestConfig.model_validate({"engine": "httpx", "http2": True}))


def test_a_connection_that_http2_closes_is_replaced(nginx: Nginx):
    """After a hundred requests nginx says GOAWAY: no request is lost."""
    summary, _ = run(nginx.h2c, engine="httpx", http2="prior_knowledge", think_time_seconds=0, duration_seconds=1.5)
    assert summary.total_requests > 200
    assert summary.outcomes == {"ok": summary.total_requests}
    assert _protocols(summary)["HTTP/2"] > 2


def _goes_away(last_stream: int | None) -> Callable[[socket.socket, Listener], None]:
    """Answer the first stream of a connection, and the second with GOAWAY alone: looked at up to `last_stream`."""

    def serve(connection: socket.socket, listener: Listener) -> None:
        state = H2Connection(H2Configuration(client_side=False))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        while data := connection.recv(65_536):
            for event in state.receive_data(data):
                if isinstance(event, StreamEnded) and event.stream_id == 1:
                    state.send_headers(1, [(":status", "200")], end_stream=True)
                elif isinstance(event, StreamEnded):
                    listener.requests.append(b"not answered")
                    state.close_connection(last_stream_id=event.stream_id if last_stream is None else last_stream)
            connection.sendall(state.data_to_send())

    return serve


@pytest.mark.parametrize(
    ("method", "last_stream", "outcomes"),
    [
        ("GET", None, {"ok"}),
        ("POST", None, {"ok", "closed_before_answer"}),
        # The server says that it has not looked at the second stream.
        ("POST", 1, {"ok"}),
    ],
)
def test_what_goaway_leaves_without_an_answer(method: str, last_stream: int | None, outcomes: set[str]):
    """RFC 9113, section 6.8: sent again if it was not looked at, or may come twice."""
    with listening(_goes_away(last_stream)) as server:
        endpoints = [{"path": "/", "method": method}]
        summary, _ = run(server.url, engine="httpx", http2="prior_knowledge", endpoints=endpoints)
    assert set(summary.outcomes) == outcomes
    assert bool(summary.total.retried) is (outcomes == {"ok"})
    assert server.requests


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody trusts, with an encrypted key beside the plain one."""
    path = tmp_path_factory.mktemp("stranger") / "crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stranger"]
    subprocess.run([*command, "-keyout", f"{path}.key", "-out", path], check=True, capture_output=True)
    encrypt = ["openssl", "rsa", "-aes128", "-passout", "pass:opensesame", "-in", f"{path}.key", "-out", f"{path}.enc"]
    subprocess.run(encrypt, check=True, capture_output=True)
    return path


@ENGINES
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates(certificate: Path, stranger: Path, engine: str, version: ssl.TLSVersion):
    """Shown and trusted: ok; none, or one that the server does not trust: an outcome of its own."""
    context = _context(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(f"{certificate}.crt")
    context.minimum_version = context.maximum_version = version
    trusted = {"cert_file": f"{certificate}.crt", "key_file": f"{certificate}.key"}
    with listening(_tls(context)) as server:
        url = f"https://127.0.0.1:{server.port}"
        found = [
            set(run(url, engine=engine, tls={"verify": False, **shown})[0].outcomes)
            for shown in (
                trusted,
                {"cert_file": str(certificate)},
                {"cert_file": str(stranger), "key_file": f"{stranger}.key"},
            )
        ]
        none = set(run(url, engine=engine, tls={"verify": False})[0].outcomes)
    assert found == [{"ok"}, {"ok"}, {"tls_client_certificate"}]
    # TLS 1.2 has no alert for a certificate that is missing.
    assert none <= {"tls_client_certificate", "tls_failed"}


def test_an_encrypted_key(stranger: Path, tmp_path: Path):
    """Its password is in a file; without it nothing asks at the terminal, and a wrong one is said."""
    password = tmp_path / "password"
    password.write_text("opensesame\n")

    def build(**tls: str) -> LoadTester:
        files = {"cert_file": str(stranger), "key_file": f"{stranger}.enc", **tls}
        return LoadTester(LoadTestConfig.model_validate({"base_url": "https://h", "tls": files}))

    build(key_password_file=str(password))
    with pytest.raises(ConfigError, match=r"the key is encrypted: tls\.key_password_file must hold its password"):
        build()
    password.write_text("wrong")
    with pytest.raises(ConfigError, match=r"tls\.cert_file, tls\.key_file: .* cannot be used"):
        build(key_password_file=str(password))
    with pytest.raises(ConfigError, match=r"tls\.cert_file, tls\.key_file: .* cannot be used"):
        build(key_file="/no/such/file")
