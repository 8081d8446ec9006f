"""Addresses as people write them: right on the wire, or one sentence; never a traceback."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.cli import main
from perfloop_loadgen.config.addresses import ServiceUrl, ascii_host, below, encode_target, parse_service_url
from perfloop_loadgen.config.scenario import EndpointConfig
from perfloop_loadgen.scenario.request import Target, build_request

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://a", ("http", "a", 80, "")),
        ("HTTPS://A.example:8443/x/", ("https", "a.example", 8443, "/x/")),
        ("http://[::1]:8000", ("http", "::1", 8000, "")),
        ("http://user:pw@my_service:80", ("http", "my_service", 80, "")),
        ("http://münchen.example/ü", ("http", "xn--mnchen-3ya.example", 80, "/ü")),
        ("http://日本語.jp", ("http", "xn--wgv71a119e.jp", 80, "")),
        ("http://MÜNCHEN.example", ("http", "xn--mnchen-3ya.example", 80, "")),
        ("http://straße.de", ("http", "xn--strae-oqa.de", 80, "")),
        ("http://a.example.", ("http", "a.example.", 80, "")),
        ("http://127.0.0.1:1", ("http", "127.0.0.1", 1, "")),
    ],
)
def test_addresses(url: str, address: tuple[str, str, int, str]):
    """Scheme, host in ASCII, port, path."""
    assert parse_service_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "a",
            "ftp://a",
            "http:a",
            "http://",
            "http:///x",
            "http://:80",
            "http://user@",
            "http://a:0",
            "http://a:b",
        ),
        *("http://a:99999", "http://a:-1", "http://a b", "http://a\n", "http://[::1", "http://::1", "http://[x]"),
        *("http://a..b", "http://.", "http://-a", "http://a-", f"http://{'a' * 64}", f"http://{'a.' * 130}a"),
        *(
            "http://a?x=1",
            "http://a#x",
            "http://ex ample",
            "http://ü..de",
            "http://\u200b",
            "http://a%20b",
            "http://a\\b",
        ),
        *("http://xn--\u2028.de", "http://\ud800", "http://a|b", "http://{host}", "http://$HOST", "http://*"),
    ],
)
def test_what_is_no_address(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 2 and one sentence, from a flag and from a file."""
    with pytest.raises(ValueError, match=r"."):
        parse_service_url(url)
    for key in ("base_url", "prometheus_url"):
        with pytest.raises(ValidationError):
            LoadTestConfig.model_validate({key: url})
    commands = [["run", "--profile", "basic", "--url", url], ["breakpoint", "--url", url]]
    if not set("?#") & set(url):  # which the address of one request may have
        commands.append(["run", url or "http://"])
    for command in commands:
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert len([line for line in said.splitlines() if line.startswith("perfloop loadgen: ")]) == 1


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=30),
        st.text(max_size=20).map("http://{}".format),
        st.text(string.ascii_letters + string.digits + ".:/@[]%-_#?ü ", max_size=20).map("https://{}".format),
    )
)
def test_any_text_is_an_address_or_one_sentence(url: str):
    """What is accepted has a Host header that HTTP can carry."""
    try:
        config = LoadTestConfig(base_url=url)
    except ValidationError:
        return
    request = build_request(0, EndpointConfig(path="/"), Target.from_url(config.base_url))
    assert request.headers["Host"].isascii()
    assert request.wire.split(b"\r\n")[0].isascii()


@pytest.mark.parametrize(
    ("target", "encoded"),
    [
        ("/münchen", "/m%C3%BCnchen"),
        ("/search?q=日本語", "/search?q=%E6%97%A5%E6%9C%AC%E8%AA%9E"),
        ("/a b", "/a%20b"),
        ("/a%20b?c=%2F&d='\"<>[]{}|^`\\", "/a%20b?c=%2F&d='\"<>[]{}|^`\\"),
        ("/😀", "/%F0%9F%98%80"),
        ("/\ud800", "/%3F"),
        ("/\r\nX: 1", "/%0D%0AX:%201"),
    ],
)
def test_what_a_request_line_cannot_hold_is_encoded(target: str, encoded: str):
    """UTF-8, in per cent; what is encoded stays as it is."""
    assert encode_target(target) == encoded
    assert encode_target(encoded) == encoded


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_target_is_one_word_of_ascii(target: str):
    """Whatever it holds, it cannot end the line or begin another one."""
    encoded = encode_target(f"/{target}")
    assert encoded.isascii()
    assert encoded.split() == [encoded]


BASE = ServiceUrl("http", "a.example", 80, "/api")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://a.example/api/x?y=1#z", "/x?y=1"),
        ("http://A.EXAMPLE:80/api", "/"),
        ("http://a.example/api/ü?ö=/ä", "/%C3%BC?ö=/ä"),
        ("http://a.example/api?x=http://b/", "/?x=http://b/"),
    ],
)
def test_a_url_of_the_service(url: str, path: str):
    """Its path, from that of the service on."""
    assert below(url, BASE) == path


@pytest.mark.parametrize(
    "url",
    [
        *("https://a.example/api/x", "http://b.example/api/x", "http://a.example:81/api/x", "http://a.example/other"),
        *(
            "http://a.example/apix",
            "http://a.example",
            "http://a.example@b.example/api/x",
            "http://[::1",
            "//a.example/x",
        ),
    ],
)
def test_a_url_of_another_service(url: str):
    """Refused: other people's services get no load."""
    with pytest.raises(ValueError, match=r"."):
        below(url, BASE)


def test_a_host_is_converted_once():
    """What is ASCII stays, A-labels too."""
    assert ascii_host("xn--mnchen-3ya.example") == "xn--mnchen-3ya.example"
    assert ascii_host("fe80::1") == "fe80::1"


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_text_beyond_ascii_on_the_wire(serve: Any, engine: str):
    """Path and query percent-encoded, header values as UTF-8, the same from both engines."""
    endpoint = {"path": "/münchen?q=日本語", "headers": {"X-Name": "Łódź", "X-Latin": "é"}}
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as service:
        test = {"base_url": service.url, "engine": engine, "duration_seconds": 0.3, "concurrent_users": 1}
        config = LoadTestConfig.model_validate({**test, "think_time_seconds": 0.05, "endpoints": [endpoint]})
        summary = await LoadTester(config).run_load_test()
        wire = service.requests[0]
    assert wire.startswith(b"GET /m%C3%BCnchen?q=%E6%97%A5%E6%9C%AC%E8%AA%9E HTTP/1.1\r\n")
    assert "\r\nX-Name: Łódź\r\n".encode() in wire
    assert "\r\nX-Latin: é\r\n".encode() in wire
    assert summary.total_requests > 0


@pytest.mark.parametrize(
    "endpoint",
    [{"path": "/a#b"}, {"path": "/a\tb"}, {"path": "/", "headers": {"X Y": "1"}}, {"path": "", "headers": {}}],
)
def test_what_no_request_can_have(endpoint: dict[str, Any]):
    """A fragment, a control character, a name that is no token: a sentence when the file is read."""
    with pytest.raises(ValidationError):
        EndpointConfig.model_validate(endpoint)


def test_a_lone_surrogate_in_a_header_is_a_sentence():
    """It is no character: no encoding has bytes for it."""
    endpoint = EndpointConfig(path="/", headers={"X-A": "\ud800"})
    with pytest.raises(ConfigError, match="must be text"):
        build_request(0, endpoint, Target.from_url("http://a"))
