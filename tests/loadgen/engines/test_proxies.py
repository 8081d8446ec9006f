"""A proxy before the service, from the test file or the environment; and Unix sockets."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.routing import build_proxy, is_excluded
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.scenario.request import Target
from tests.loadgen.engines.test_bad_answers import certificate as certificate  # noqa: PLC0414 - a fixture
from tests.loadgen.engines.test_hostile_answers import run
from tests.support.connections import Listener, greet, listening, proxy_of, requests_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENGINES = pytest.mark.parametrize("engine", ["http1", "httpx"])
# Marked as what it is: a password of this test.
PASSWORD = "not-a-secret-41"
BASIC = b"Basic " + base64.b64encode(f"load:{PASSWORD}".encode())
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def _tls(certificate: Path) -> Callable[[socket.socket, Listener], None]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def serve(connection: socket.socket, listener: Listener) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            greet(wrapped, listener)

    return serve


@ENGINES
def test_requests_in_the_clear_are_forwarded(engine: str):
    """In absolute form, with the body and the headers as they were; the proxy is what is connected to."""
    endpoints = [{"path": "/a?b=1", "method": "POST", "data": {"c": 2}}]
    with listening() as service, listening(proxy_of()) as proxy:
        summary, _ = run(service.url, engine=engine, proxy=proxy.url, endpoints=endpoints)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert proxy.requests[0].startswith(f"POST {service.url}/a?b=1 HTTP/1.1\r\n".encode())
    assert service.requests[0].startswith(b"POST /a?b=1 HTTP/1.1\r\n")
    assert service.requests[0].endswith(b'\r\n\r\n{"c":2}')
    assert proxy.connections == 2


@ENGINES
def test_tls_goes_through_a_tunnel(engine: str, certificate: Path):
    """CONNECT once a connection, then TLS with the service itself; its name is the proxy's to resolve."""
    with listening(_tls(certificate)) as service, listening(proxy_of()) as proxy:
        url = f"https://localhost:{service.port}"
        summary, _ = run(url, engine=engine, proxy=proxy.url, tls={"ca_file": f"{certificate}.crt"})
    assert summary.outcomes == {"ok": summary.total_requests}
    assert summary.total_requests > 4
    assert [line.split(b"\r\n")[0] for line in proxy.requests] == [
        f"CONNECT localhost:{service.port} HTTP/1.1".encode()
    ] * 2


@ENGINES
@pytest.mark.parametrize("is_tls", [False, True])
def test_a_proxy_that_asks_who_it_is(engine: str, is_tls: bool, certificate: Path):  # noqa: FBT001 - a table's column
    """The password goes to the proxy alone, and is in no report."""
    with listening(_tls(certificate) if is_tls else greet) as service, listening(proxy_of(BASIC)) as proxy:
        url = f"http{'s' if is_tls else ''}://localhost:{service.port}"
        base = {"base_url": url, "engine": engine, "tls": {"verify": False}, "endpoints": [{"path": "/"}]}
        base |= {"duration_seconds": 0.3, "think_time_seconds": 0.05, "concurrent_users": 2}
        test = LoadTestConfig.model_validate(base | {"proxy": f"http://load:{PASSWORD}@127.0.0.1:{proxy.port}"})
        tester = LoadTester(test)
        summary = uvloop.run(tester.run_load_test())
        refused, _ = run(url, engine=engine, tls={"verify": False}, proxy=proxy.url)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert not any(BASIC in request for request in service.requests)
    # Without it: the tunnel is refused, or the 407 is the answer.
    assert set(refused.outcomes) == {"proxy_refused" if is_tls else "wrong_status"}
    written = b"".join(render(tester.document(summary)) for render in RENDERERS.values())
    for secret in (PASSWORD.encode(), BASIC.split()[1]):
        assert secret not in written
    assert json.loads(RENDERERS["json"](tester.document(summary)))["config"]["proxy"].endswith(
        f"@127.0.0.1:{proxy.port}"
    )


@ENGINES
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\nmore", b"X" * 70_000],
    ids=["forbidden", "another protocol", "nothing", "bytes that TLS does not expect", "no end"],
)
def test_a_proxy_that_opens_no_tunnel(engine: str, answer: bytes):
    """Counted under its own name, whatever it answered."""

    def serve(connection: socket.socket, listener: Listener) -> None:
        next(requests_on(connection, listener))
        connection.sendall(answer)

    with listening(serve) as proxy:
        summary, _ = run("https://shop.example", engine=engine, proxy=proxy.url, tls={"verify": False})
    assert set(summary.outcomes) == {"proxy_refused"}


def test_the_environment_is_read_only_if_asked_for(monkeypatch: pytest.MonkeyPatch, free_port: int):
    """A proxy that other programs of the machine use would be measured instead of the service."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    with listening() as service:
        assert set(run(service.url)[0].outcomes) == {"ok"}
        assert set(run(service.url, proxy="environment")[0].outcomes) == {"connection_refused"}
        assert set(run(service.url, proxy="environment", no_proxy="127.0.0.0/8")[0].outcomes) == {"ok"}
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        assert set(run(service.url, proxy="environment")[0].outcomes) == {"ok"}


ENVIRONMENTS: list[tuple[dict[str, str], str, str]] = [
    ({"https_proxy": "http://p:1"}, "https", "p"),
    ({"HTTPS_PROXY": "p:1"}, "https", "p"),
    ({"HTTPS_PROXY": "http://p:1"}, "http", ""),
    ({"http_proxy": "http://p:1", "HTTP_PROXY": "http://q:1"}, "http", "p"),
    ({"HTTP_PROXY": "http://q:1"}, "http", "q"),
    # In a CGI script it is the header `Proxy` of somebody's request.
    ({"HTTP_PROXY": "http://q:1", "REQUEST_METHOD": "GET"}, "http", ""),
    ({"all_proxy": "http://r:1"}, "https", "r"),
    ({"http_proxy": "http://p:1", "no_proxy": "shop.example"}, "http", ""),
    ({"http_proxy": ""}, "http", ""),
]


@pytest.mark.parametrize(("variables", "scheme", "host"), ENVIRONMENTS)
def test_which_variable_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], scheme: str, host: str
):
    """As curl reads them."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    url = f"{scheme}://shop.example"
    found = build_proxy(LoadTestConfig(base_url=url, proxy="environment"), Target.from_url(url))
    assert (found.host if found else "") == host


def test_a_variable_that_names_no_http_proxy(monkeypatch: pytest.MonkeyPatch):
    """One sentence, without the password in it."""
    monkeypatch.setenv("ALL_PROXY", f"socks5://load:{PASSWORD}@p:1")
    with pytest.raises(ConfigError) as caught:
        LoadTester(LoadTestConfig(base_url="http://shop.example", proxy="environment"))
    assert "proxy: environment: ALL_PROXY must be http://HOST:PORT" in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("excluded", "host", "expected"),
    [
        ("*", "shop.example", True),
        ("shop.example", "shop.example", True),
        ("shop.example", "SHOP.example.", True),
        ("example", "shop.example", True),
        (".example", "shop.example", True),
        ("*.example", "shop.example", True),
        ("hop.example", "shop.example", False),
        ("shop.example:80", "shop.example", True),
        ("shop.example:81", "shop.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:80", "10.1.2.3", True),
        ("::1", "::1", True),
        ("[::1]:80", "::1", True),
        ("[::1]:81", "::1", False),
        ("fd00::/8", "fd12::1", True),
        ("2.3", "10.1.2.3", False),
        ("", "shop.example", False),
    ],
)
def test_no_proxy(excluded: str, host: str, expected: bool):  # noqa: FBT001 - a table's column
    """Hosts, domains, addresses and networks, each with a port or without."""
    assert is_excluded(host, 80, [excluded]) is expected


@ENGINES
@pytest.mark.parametrize("is_tls", [False, True])
def test_a_unix_socket(engine: str, is_tls: bool, certificate: Path, tmp_path: Path):  # noqa: FBT001 - a table's column
    """The path is connected to; the host of base_url is only named."""
    path = str(tmp_path / "s")
    with listening(_tls(certificate) if is_tls else greet, path=path) as service:
        url = "https://localhost" if is_tls else "http://localhost"
        summary, _ = run(url, engine=engine, unix_socket=path, tls={"ca_file": f"{certificate}.crt"})
    assert summary.outcomes == {"ok": summary.total_requests}
    assert {one.address for one in summary.total.connections} == {path}
    assert b"\r\nHost: localhost\r\n" in service.requests[0]


@ENGINES
def test_a_unix_socket_that_nobody_listens_on(engine: str, tmp_path: Path):
    """No file, and a file that a program left behind."""
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(left))
    for path in (tmp_path / "none", left):
        summary, _ = run("http://localhost", engine=engine, unix_socket=str(path))
        assert set(summary.outcomes) == {"connection_refused"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"proxy": "socks5://p:1"}, "must be http://HOST:PORT"),
        ({"proxy": "p:3128"}, "must be http://HOST:PORT"),
        ({"proxy": "http://p:x"}, "must be http://HOST:PORT"),
        ({"proxy": "http://p:0"}, "must be http://HOST:PORT"),
        ({"proxy": "http://a..b:1"}, "must be http://HOST:PORT"),
        ({"proxy": "http://p:1/path"}, "must be http://HOST:PORT"),
        ({"unix_socket": "/" + "x" * 107}, "is longer than the 107 bytes that the path of a socket may have"),
        ({"proxy": "http://p:1", "unix_socket": "/s"}, "unix_socket and proxy exclude each other"),
        ({"connect_to": "a:1", "unix_socket": "/s"}, "unix_socket and connect_to exclude each other"),
        ({"resolve": {"h": "::1"}, "unix_socket": "/s"}, "unix_socket and resolve exclude each other"),
        ({"resolve": {"h": "other.example"}}, "'other.example' is not an IPv4 or IPv6 address"),
        ({"resolve": {"h": []}}, "'h' has no address"),
        ({"resolve": ["h:1"]}, "'h:1' is not HOST:PORT:ADDRESS"),
        ({"connect_to": "a"}, "'a' is not an address"),
        ({"connect_to": "a:0"}, "'a:0' has no port that can be connected to"),
        ({"http2": True, "engine": "httpx"}, "http2: true needs an https:// base_url"),
        ({"http2": "prior_knowledge", "engine": "httpx", "base_url": "https://h"}, "is for an http:// base_url"),
        ({"http2": "prior_knowledge", "engine": "httpx", "proxy": "http://p"}, "prior_knowledge and proxy exclude"),
        ({"http2": True, "base_url": "https://h"}, "http2 needs engine: httpx"),
        ({"tls": {"cert_file": "c"}}, "tls.cert_file needs an https:// base_url"),
        ({"tls": {"key_file": "c"}}, "key_file needs cert_file"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str):
    """One sentence with the rule, from the file."""
    file = tmp_path / "test.yml"
    test = {"base_url": "http://h", "endpoints": [{"path": "/"}], **changes}
    file.write_text(json.dumps({"load_tests": {"t": test}}))
    with pytest.raises(ConfigError, match=r"test\.yml:1: load_tests\.t") as caught:
        LoadTestConfig.from_yaml(file)
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_the_forms_of_curl_are_read():
    """`--resolve` and `--connect-to` as people copy them."""
    config = LoadTestConfig.model_validate(
        {"base_url": "http://h:1", "resolve": ["h:1:127.0.0.1,::1"], "connect_to": {"h:1": "o:2"}}
    )
    assert config.resolve == {"h:1": ["127.0.0.1", "::1"]}
    assert config.connect_to == {"h:1": "o:2"}


def test_hosts_beyond_ascii_are_read_as_those_of_addresses():
    """`resolve` and `connect_to` name the host as base_url does."""
    test = {"base_url": "http://m\u00fcnchen.example:80", "resolve": {"M\u00fcnchen.example": "127.0.0.1"}}
    LoadTester(LoadTestConfig.model_validate(test))
    config = LoadTestConfig.model_validate({**test, "connect_to": "m\u00fcnchen.example:2"})
    assert config.connect_to == {"*": "xn--mnchen-3ya.example:2"}
    assert config.resolve == {"xn--mnchen-3ya.example": ["127.0.0.1"]}
