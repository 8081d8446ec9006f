"""The Host header: which names nobody outside can own, and how each odd form is decided."""

from __future__ import annotations

import socket

import pytest

from perfloop_base.web.hosts import parse_allowed_hosts, refusal


@pytest.mark.parametrize(
    "header",
    [
        "127.0.0.1",
        "127.0.0.1:19110",
        "10.1.2.3:80",
        "[::1]",
        "[::1]:19110",
        "[fe80::1]:9100",
        "localhost",
        "LOCALHOST:8000",
        "localhost.:8000",
        "perfloop.localhost:8000",
        "analyzer:19110",
        "demo_1:8000",
        "exporter.monitoring.svc:19100",
        "exporter.monitoring.svc.cluster.local:19100",
        "host.docker.internal:19110",
        "analyzer:",
        socket.gethostname(),
    ],
)
def test_a_name_that_no_stranger_can_own_is_answered(header: str) -> None:
    """Addresses, localhost, names of one label and under private suffixes, with any port and in any case."""
    assert refusal(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "evil.example:19110",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "EVIL.example.",
        "notlocalhost.com",
        "xlocalhost.example",
        "svc.evil.example",
        "internal.example.org",
        "xn--bcher-kva.example",
        "2130706433.example",
        "127.1.evil.example",
    ],
)
def test_a_name_that_a_stranger_can_own_is_refused(header: str) -> None:
    """The answer is 421 with a sentence that names the host and the flag."""
    refused = refusal(header)

    assert refused is not None
    assert refused.status == 421
    assert "--web.allowed-hosts" in refused.text


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "user@localhost",
        "user:secret@127.0.0.1",
        "localhost:99999",
        "localhost:http",
        "localhost:80:80",
        "localhost/path",
        "http://localhost",
        "localhost, evil.example",
        "localhost evil.example",
        "::1",
        "[::1",
        "[localhost]",
        "[::1%25eth0]",
        "bücher.example",
        "-x.localhost",
        "a..localhost",
        ".localhost",
        f"{'a' * 64}.localhost",
        f"{'a.' * 130}localhost",
        "local\x00host",
        "\x1b[31mlocalhost",
        "localhost\u202e",
        "*",
    ],
)
def test_what_is_no_host_is_a_bad_request(header: str | None) -> None:
    """A missing header, userinfo, a wrong port, a list, a path, other letters: 400, in printable ASCII."""
    refused = refusal(header)

    assert refused is not None
    assert refused.status == 400
    assert refused.text.isascii()
    assert refused.text.isprintable()


def test_allowed_names_are_answered() -> None:
    """A name is allowed as it is, a suffix for all names below it, an international one in the browser's form."""
    allowed = parse_allowed_hosts("Monitor.Example.org, .example.net,bücher.example")

    assert allowed == ("monitor.example.org", ".example.net", "xn--bcher-kva.example")
    for name in ("monitor.example.org:443", "a.b.example.net", "xn--bcher-kva.example"):
        assert refusal(name, allowed) is None
    for name in ("example.org", "x.monitor.example.org", "evilexample.net", "example.net"):
        assert refusal(name, allowed) is not None


@pytest.mark.parametrize("text", ["http://a.example", "a.example:80", "*.example", "a b", ".127.0.0.1", "-", "a..b"])
def test_an_invalid_allowed_name_is_an_error(text: str) -> None:
    """The sentence has the value and the rule."""
    with pytest.raises(ValueError, match="is not a host name: write it without scheme and port"):
        parse_allowed_hosts(text)
