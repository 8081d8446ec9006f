"""What goes on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_loadgen.config import EndpointConfig
from perfloop_loadgen.scenario.body import encode_body
from perfloop_loadgen.scenario.request import Target, build_request


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://shop.example", Target("http", "shop.example", 80), "shop.example"),
        ("https://shop.example/api", Target("https", "shop.example", 443, "/api"), "shop.example"),
        ("http://127.0.0.1:8000/", Target("http", "127.0.0.1", 8000), "127.0.0.1:8000"),
        ("http://[::1]:8000", Target("http", "::1", 8000), "[::1]:8000"),
    ],
)
def test_an_address_is_parsed(url: str, target: Target, authority: str):
    """Scheme, host, port and prefix; the Host header leaves the default port out."""
    assert Target.from_url(url) == target
    assert target.authority == authority


def test_a_request_is_rendered_once():
    """Method, path with prefix, headers, body."""
    endpoint = EndpointConfig(path="/cart?x=1", method="POST", data={"id": 7, "name": "Käse"})
    request = build_request(3, endpoint, Target("http", "shop", 80, "/api"))
    head, _, body = request.wire.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /api/cart?x=1 HTTP/1.1",
        b"Host: shop",
        b"User-Agent: perfloop-loadgen",
        b"Accept: */*",
        b"Content-Type: application/json",
        b"Content-Length: 23",
    ]
    assert body.decode() == '{"id":7,"name":"Käse"}'
    assert (request.index, request.label, request.is_plain) == (3, "POST /cart", True)


def test_own_headers_replace_the_defaults():
    """Whatever the case of their names, and once."""
    endpoint = EndpointConfig(path="/", headers={"user-agent": "mine", "X-A": "b"})
    request = build_request(0, endpoint, Target("http", "shop", 80))
    assert {"user-agent": "mine", "X-A": "b"}.items() <= request.headers.items()
    assert "User-Agent" not in request.headers


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("DELETE", None), ("POST", "0"), ("PATCH", "0")])
def test_an_empty_body_has_a_length_where_one_is_expected(method: str, length: str | None):
    """A POST without a body says so."""
    request = build_request(0, EndpointConfig(path="/", method=method), Target("http", "shop", 80))
    assert request.headers.get("Content-Length") == length


@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        (None, b"", None),
        ("a b", b"a b", "text/plain; charset=utf-8"),
        ([1, None], b"[1,null]", "application/json"),
        (0, b"0", "application/json"),
    ],
)
def test_bodies_are_text_or_json(data: Any, body: bytes, kind: str | None):
    """Text goes as it is, everything else as JSON."""
    assert encode_body(data) == (body, kind)


def test_a_streamed_answer_is_asked_for():
    """Server-sent events are accepted, and the answer is not judged by its status alone."""
    request = build_request(0, EndpointConfig(path="/", stream=True), Target("http", "shop", 80))
    assert request.headers["Accept"] == "text/event-stream"
    assert (request.streams, request.is_plain) == (True, False)
