"""The web configuration file: TLS, client certificates, passwords, headers, rate limit, and invalid files."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import bcrypt
import httpx
import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.web.gate import Bucket, Gate
from perfloop_exporter.web.guard import Guard
from perfloop_exporter.web.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.exporter.conftest import StartExporter

OPENSSL = shutil.which("openssl")
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed: no certificates to test with")


def make_certificate(directory: Path, name: str) -> None:
    """Write NAME.crt and NAME.key, self-signed, for 127.0.0.1 and NAME.example.org."""
    subprocess.run(
        [
            *(str(OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.crt"), "-days", "1"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}.example.org,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )


def trusting(directory: Path, client: str = "") -> ssl.SSLContext:
    """Return a context that trusts the server's certificate, with a client certificate where one is named."""
    context = ssl.create_default_context(cafile=str(directory / "server.crt"))
    if client:
        context.load_cert_chain(directory / f"{client}.crt", directory / f"{client}.key")
    return context


def ask(address: str, context: ssl.SSLContext | None = None, login: str = "") -> tuple[int, str]:
    """Return status and text of /metrics."""
    request = urllib.request.Request(f"http{'s' if context else ''}://{address}/metrics?collect[]=loadavg")
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def eventually(check: Callable[[], bool]) -> bool:
    """Return whether the check becomes true within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.1)
    return False


@needs_openssl
def test_prometheus_scrapes_over_tls_with_a_password(
    tmp_path: Path, start_exporter: StartExporter, prometheus_binary: str, free_port: int
) -> None:
    """For a real Prometheus with the CA and the password the target is up, and it stores the metrics."""
    make_certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        f"basic_auth_users: {{prometheus: {HASH}}}\n"
    )
    exporter = start_exporter(f"--web.config.file={tmp_path / 'web.yml'}")
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs:\n- job_name: node\n  scrape_interval: 1s\n  scheme: https\n"
        f"  tls_config: {{ca_file: {tmp_path}/server.crt}}\n  basic_auth: {{username: prometheus, password: secret}}\n"
        f"  static_configs: [{{targets: ['{exporter.address}']}}]\n"
    )
    flags = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    command = [prometheus_binary, *flags, f"--web.listen-address=127.0.0.1:{free_port}"]

    def value(query: str) -> str:
        url = f"http://127.0.0.1:{free_port}/api/v1/query?query={query}"
        try:
            answer = httpx.get(url, timeout=5, trust_env=False)
        except httpx.TransportError:
            return ""
        result = answer.json()["data"]["result"] if answer.is_success else []
        return result[0]["value"][1] if result else ""

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as prometheus:
        try:
            assert eventually(lambda: value("up") == "1")
            assert value("node_load1") != ""
        finally:
            prometheus.kill()


@needs_openssl
def test_a_changed_file_applies_without_a_restart(tmp_path: Path, start_exporter: StartExporter) -> None:
    """A new password applies to the next request; an invalid file refuses all, until it is valid again."""
    make_certificate(tmp_path, "server")
    web = tmp_path / "web.yml"
    tls = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
    web.write_text(
        f"{tls}basic_auth_users: {{a: {HASH}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"
    )
    exporter = start_exporter(f"--web.config.file={web}")
    assert ask(exporter.address, trusting(tmp_path), "a:secret")[0] == 200
    assert ask(exporter.address, trusting(tmp_path), "a:wrong")[0] == 401
    assert ask(exporter.address, trusting(tmp_path))[0] == 401

    web.write_text(f"{tls}basic_auth_users: {{b: {HASH}}}\n")
    assert ask(exporter.address, trusting(tmp_path), "a:secret")[0] == 401
    assert ask(exporter.address, trusting(tmp_path), "b:secret")[0] == 200

    web.write_text(f"{tls}basic_auth_users: {{b: secret}}\n")
    with pytest.raises(OSError, match=r"EOF|reset|closed|refused"):
        ask(exporter.address, trusting(tmp_path), "b:secret")
    assert "web configuration is invalid" in exporter.log()
    assert "secret" not in exporter.log()

    web.write_text(f"basic_auth_users: {{b: {HASH}}}\n")
    with pytest.raises(OSError, match=r"EOF|reset|closed|refused|closed connection"):
        ask(exporter.address, None, "b:secret")

    web.write_text(tls)
    make_certificate(tmp_path, "server")
    assert ask(exporter.address, trusting(tmp_path))[0] == 200


@needs_openssl
def test_client_certificates_are_verified_and_their_names_checked(
    tmp_path: Path, start_exporter: StartExporter
) -> None:
    """Only the client whose certificate is trusted and has an allowed name gets a response."""
    for name in ("server", "good", "stranger"):
        make_certificate(tmp_path, name)
    (tmp_path / "clients.pem").write_text((tmp_path / "good.crt").read_text() + (tmp_path / "stranger.crt").read_text())
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: clients.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [good.example.org]\n"
        "  min_version: TLS13\n"
    )
    exporter = start_exporter(f"--web.config.file={tmp_path / 'web.yml'}")

    assert ask(exporter.address, trusting(tmp_path, "good"))[0] == 200
    # The client reads the server's alert, or finds the connection closed before the alert reaches it.
    for client in ("", "stranger"):
        with pytest.raises(OSError, match=r"CERTIFICATE_REQUIRED|EOF|closed connection|reset|Broken pipe"):
            ask(exporter.address, trusting(tmp_path, client))


@needs_openssl
@pytest.mark.parametrize(
    ("client", "reason"), [("", "PEER_DID_NOT_RETURN_A_CERTIFICATE"), ("stranger", "client_allowed_sans")]
)
def test_the_server_knows_why_it_refuses_a_client(tmp_path: Path, client: str, reason: str) -> None:
    """A client without a certificate fails the handshake; one with another name fails the check of names."""
    for name in ("server", "good", "stranger"):
        make_certificate(tmp_path, name)
    (tmp_path / "clients.pem").write_text((tmp_path / "good.crt").read_text() + (tmp_path / "stranger.crt").read_text())
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: clients.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [good.example.org]\n"
    )
    gate = Gate(str(tmp_path / "web.yml"))
    here, there = socket.socketpair()
    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(shake, Guard(gate), here)
        with (
            there,
            contextlib.suppress(OSError),
            trusting(tmp_path, client).wrap_socket(there, server_hostname="127.0.0.1"),
        ):
            pass
        with pytest.raises(OSError, match=reason):
            server.result(60)
    here.close()


@needs_openssl
def test_certificates_may_be_inline(tmp_path: Path) -> None:
    """With certificate and key in the file the handshake succeeds, with a TLS 1.2 suite by Go's name."""
    make_certificate(tmp_path, "server")
    texts = {name: (tmp_path / f"server.{name}").read_text() for name in ("crt", "key")}
    section = {
        "cert": texts["crt"],
        "key": texts["key"],
        "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
        "curve_preferences": ["CurveP256"],
        "max_version": "TLS12",
    }
    (tmp_path / "web.yml").write_text(json.dumps({"tls_server_config": section}))

    gate = Gate(str(tmp_path / "web.yml"))

    here, there = socket.socketpair()
    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(shake, Guard(gate), here)
        with trusting(tmp_path).wrap_socket(there, server_hostname="127.0.0.1") as client:
            assert client.cipher() == ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128)
        server.result(60).close()


def test_headers_and_passwords_need_no_tls(tmp_path: Path, start_exporter: StartExporter) -> None:
    """The headers of the file are in every response, including errors."""
    (tmp_path / "web.yml").write_text(
        f"basic_auth_users: {{a: {HASH}}}\nhttp_server_config: {{http2: false, headers: {{X-Frame-Options: deny}}}}\n"
    )
    exporter = start_exporter(f"--web.config.file={tmp_path / 'web.yml'}")
    connection = http.client.HTTPConnection(exporter.address, timeout=30)

    connection.request("GET", "/")
    answer = connection.getresponse()

    assert (answer.status, answer.getheader("X-Frame-Options")) == (401, "deny")
    assert answer.getheader("WWW-Authenticate") == "Basic"
    connection.close()


def shake(guard: Guard, accepted: socket.socket) -> socket.socket:
    """Return the connection after the server's side of the handshake."""
    wrapped = guard.wrap(accepted)
    assert isinstance(wrapped, ssl.SSLSocket)
    try:
        wrapped.do_handshake()
        guard.check_client(wrapped)
    except OSError:
        wrapped.close()
        raise
    return wrapped


def request(authorization: str) -> Request:
    """Return a request with this header."""
    return Request("GET", "/metrics", "", {"authorization": authorization}, keep_alive=True)


@pytest.mark.parametrize("header", ["", "Bearer x", "Basic ???", "Basic YQ==", f"Basic {'A' * 400}"])
def test_an_invalid_authorization_header_is_rejected(header: str, tmp_path: Path) -> None:
    """The response to any invalid Authorization header is 401."""
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{a: {HASH}}}\n")

    refusal = Guard(Gate(str(tmp_path / "web.yml"))).check(request(header))

    assert refusal is not None
    assert refusal.status == 401


def test_the_rate_limit_allows_a_burst_and_then_one_per_interval() -> None:
    """A bucket of two tokens gets another one per second."""
    clock = [0.0]
    bucket = Bucket(1.0, 2, lambda: clock[0])

    assert [bucket.allows() for _ in range(3)] == [True, True, False]
    clock[0] = 1.0
    assert [bucket.allows() for _ in range(2)] == [True, False]


BAD = {
    "unknown": ("tls: {}\n", "unknown field tls"),
    "half": (
        "tls_server_config: {cert_file: a}\n",
        "tls_server_config.key_file is None, but one of key and key_file is required",
    ),
    "version": (
        "tls_server_config: {min_version: SSL3}\n",
        "tls_server_config.min_version is 'SSL3', not one of TLS10, TLS11, TLS12, TLS13",
    ),
    "any": (
        "tls_server_config: {cert: a, key: b, client_auth_type: RequireAnyClientCert}\n",
        "tls_server_config.client_auth_type is 'RequireAnyClientCert',"  # noqa: ISC004  # one sentence
        " which accepts any certificate: use RequireAndVerifyClientCert and client_ca_file",
    ),
    "header": (
        "http_server_config: {headers: {X-Frame-Options: always}}\n",
        "http_server_config.headers.X-Frame-Options is 'always', not one of deny, sameorigin",
    ),
    "password": (
        "basic_auth_users: {a: hunter2}\n",
        "basic_auth_users.a is …, not a bcrypt hash such as `htpasswd -nBC 10 USER` writes",
    ),
    "rate": (
        "rate_limit: {interval: often}\n",
        "rate_limit.interval is 'often', not a duration such as 500ms, 1s or 1m30s",
    ),
    "list": ("- a\n", "the file must be a mapping of names to values."),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_file_is_reported_in_one_sentence(name: str, tmp_path: Path) -> None:
    """The sentence has the file, the line, the field, the value and the rule."""
    text, sentence = BAD[name]
    file = tmp_path / "web.yml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        Gate(str(file))

    assert caught.value.problems == (f"{file}:1: {sentence}",)
    assert caught.value.exit_code == ExitCode.USAGE


def test_all_problems_of_a_file_are_reported_together(tmp_path: Path) -> None:
    """Every invalid field has its sentence."""
    file = tmp_path / "web.yml"
    file.write_text("".join(text for text, _ in BAD.values() if text.startswith(("tls:", "rate", "basic"))))

    with pytest.raises(ConfigError) as caught:
        Gate(str(file))

    assert len(caught.value.problems) == 3
