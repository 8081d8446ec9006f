"""Redirects: an outcome of their own, or followed as browsers follow them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config import EndpointConfig
from perfloop_loadgen.engines.redirects import next_hop
from perfloop_loadgen.ports import Head
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.scenario.request import Target, build_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HERE = Target("http", "shop", 8000)
LENGTH = b"Content-Length: 0\r\n"


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {"base_url": url, "duration_seconds": 0.3, "concurrent_users": 2, "think_time_seconds": 0.02}
    return LoadTestConfig.model_validate(base | changes)


def _redirect(location: bytes | None, status: int = 302) -> Head:
    line = b"" if location is None else b"\r\nLocation: " + location
    return Head(status, 0, keep_alive=True, raw=b"HTTP/1.1 %d X" % status + line)


def _site(answers: dict[str, bytes]) -> Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]:
    """Return a handler that answers each path with a status, and with a place to go to where it has one."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        found = answers.get(request.split(b" ")[1].decode(), b"200 OK")
        writer.write(b"HTTP/1.1 " + found.replace(b" -> ", b" X\r\nLocation: ") + b"\r\n" + LENGTH + b"\r\n")

    return answer


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308, 399])
async def test_a_redirect_is_no_good_answer(serve: Any, status: int):
    """It has an outcome of its own, and the report says where it pointed; a query may hold a secret and is left out."""
    async with serve(_site({"/a": b"%d -> /login?token=s3cretvalue#x" % status})) as service:
        summary = await LoadTester(_config(service.url, endpoints=[{"path": "/a"}])).run_load_test()
    assert summary.outcomes == {"redirect": summary.total_requests}
    lines = list(summary_lines(summary))
    assert f"    redirect {status} to /login?… ({summary.total_requests} requests)" in lines
    assert "s3cretvalue" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("endpoint", "outcome"), [({"expected_status": 302}, "ok"), ({"expected_status": 200}, "redirect")]
)
async def test_a_redirect_that_is_expected_is_good(serve: Any, endpoint: dict[str, Any], outcome: str):
    """Whether or not redirects are followed: it is where the request was meant to end."""
    async with serve(_site({"/a": b"302 -> /b", "/b": b"200 OK"})) as service:
        for redirects in ("refuse", "follow") if outcome == "ok" else ("refuse",):
            config = _config(service.url, endpoints=[{"path": "/a", **endpoint}], redirects=redirects)
            summary = await LoadTester(config).run_load_test()
            assert set(summary.outcomes) == {outcome}
    assert not any(b" /b " in request for request in service.requests)


async def test_not_modified_is_no_redirect(serve: Any):
    """304 is an answer to a question of the cache."""
    async with serve(b"HTTP/1.1 304 Not Modified\r\n\r\n") as service:
        summary = await LoadTester(_config(service.url, endpoints=[{"path": "/"}])).run_load_test()
    assert set(summary.outcomes) == {"ok"}


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_redirects_are_followed_if_asked(serve: Any, engine: str):
    """One request with one outcome; every answer of the chain is counted by its status, and where it led is said."""
    async with serve(_site({"/a": b"301 -> b", "/b": b"307 -> /c?x=1", "/c?x=1": b"200 OK"})) as service:
        config = _config(service.url, engine=engine, endpoints=[{"path": "/a"}], redirects="follow")
        summary = await LoadTester(config).run_load_test()
        paths = [request.split(b" ")[1] for request in service.requests]
    count = summary.total_requests
    assert count > 2
    assert summary.outcomes == {"ok": count}
    assert summary.total.statuses == {"200": count, "301": count, "307": count}
    assert len(paths) == 3 * count
    assert set(paths) == {b"/a", b"/b", b"/c?x=1"}
    assert [(one.outcome, one.detail) for one in summary.endpoints[0].details] == [
        ("followed", "301 to b"),
        ("followed", "307 to /c?…"),
    ]


async def test_a_chain_takes_the_time_of_all_of_it(serve: Any):
    """Two answers of 50 ms each: no request took less than 100."""

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await _site({"/a": b"302 -> /b"})(request, writer)

    async with serve(slow) as service:
        summary = await LoadTester(_config(service.url, endpoints=[{"path": "/a"}], redirects="follow")).run_load_test()
    assert summary.min_response_time_ms >= 99
    # Each request waits once: for its last answer.
    assert summary.phases["wait"].count == summary.total_requests
    assert 0.049 <= (summary.phases["wait"].min_seconds or 0) < 0.099


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_a_stream_behind_a_redirect_is_whole(serve: Any, engine: str):
    """The body of the redirect, which no line end closes, takes nothing from the first event; the prompt goes again."""
    event = b'data: {"choices": [{"delta": {"content": "w"}}]}\n\n'
    body = event * 3 + b"data: [DONE]\n\n"

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request.startswith(b"POST /chat "):
            writer.write(b"HTTP/1.1 307 X\r\nLocation: /chat/\r\nContent-Length: 7\r\n\r\n<moved>")
        elif b'"hi"' in request:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            writer.write(body)

    endpoint = {"path": "/chat", "method": "POST", "stream": True, "data": {"messages": "hi"}}
    async with serve(answer) as service:
        config = _config(service.url, engine=engine, endpoints=[endpoint], redirects="follow", timeout_seconds=2)
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok"}
    assert summary.endpoints[0].streams.events == 3 * summary.total_requests


async def test_a_loop_ends(serve: Any):
    """After ten redirects the request has failed as one, with the place it would have gone to."""
    async with serve(_site({"/a": b"302 -> /a"})) as service:
        summary = await LoadTester(_config(service.url, endpoints=[{"path": "/a"}], redirects="follow")).run_load_test()
        assert set(summary.outcomes) == {"redirect"}
        assert len(service.requests) == 11 * summary.total_requests


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_another_origin_gets_no_credentials(serve: Any, engine: str):
    """A redirect to another port: the request goes there, without Authorization and cookies, with its own Host."""
    headers = {"Authorization": "Bearer for-the-first-alone", "Cookie": "own=1", "X-Trace": "7"}
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as other:
        place = f"302 -> {other.url}/there".encode()
        async with serve(_site({"/away": place, "/near": b"302 -> /there"})) as service:
            endpoints = [{"path": path, "headers": headers} for path in ("/away", "/near")]
            config = _config(service.url, engine=engine, endpoints=endpoints, redirects="follow")
            summary = await LoadTester(config).run_load_test()
            near = [request for request in service.requests if b" /there " in request]
            away = other.requests
    assert set(summary.outcomes) == {"ok"}
    assert near
    assert all(b"Bearer for-the-first-alone" in request for request in near)
    assert away
    for request in away:
        assert b"for-the-first-alone" not in request
        assert b"own=1" not in request
        assert b"Host: %s\r\n" % other.url.removeprefix("http://").encode() in request.replace(b"host:", b"Host:")
        assert b"X-Trace: 7" in request or b"x-trace: 7" in request


async def test_a_host_that_does_not_resolve_has_its_outcome(serve: Any):
    """The request fails as it would have without the redirect."""
    async with serve(_site({"/a": b"302 -> http://no-such-host.invalid/"})) as service:
        config = _config(service.url, endpoints=[{"path": "/a"}], redirects="follow")
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"dns_failed"}


async def test_a_run_that_is_stopped_in_a_chain_ends(serve: Any):
    """A place that never answers: the run ends at its duration and its time limit."""

    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        del writer
        await asyncio.sleep(10)

    async with serve(silent) as other, serve(_site({"/a": f"302 -> {other.url}/".encode()})) as service:
        config = _config(service.url, endpoints=[{"path": "/a"}], redirects="follow", timeout_seconds=0.2)
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"timeout"}
    assert summary.duration_seconds < 3


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
        (301, "GET", "GET"),
    ],
)
def test_the_method_changes_as_in_browsers(status: int, method: str, then: str):
    """A body that is not sent again takes its headers with it."""
    endpoint = EndpointConfig(path="/a", method=method, data=None if method in {"GET", "HEAD"} else {"x": 1})
    request = build_request(3, endpoint, HERE)
    hop = next_hop(request, HERE, _redirect(b"/b", status))
    assert hop is not None
    assert (hop.request.method, hop.request.path, hop.request.index) == (then, "/b", 3)
    kept = then == method
    assert hop.request.body == (request.body if kept else b"")
    assert ("Content-Length" in hop.request.headers) == (kept and "Content-Length" in request.headers)
    assert hop.request.bodiless == (then == "HEAD")
    assert hop.request.wire.startswith(f"{then} /b HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (b"/b", ("http", "shop", 8000, "/b")),
        (b"b?c=1#d", ("http", "shop", 8000, "/x/b?c=1")),
        (b"../b", ("http", "shop", 8000, "/b")),
        (b"?page=2", ("http", "shop", 8000, "/x/a?page=2")),
        (b"//other/b", ("http", "other", 80, "/b")),
        (b"https://shop", ("https", "shop", 443, "/")),
        (b"HTTP://Other:81/b", ("http", "other", 81, "/b")),
        (b"http://user:pass@other/b", ("http", "other", 80, "/b")),
        (b"http://[::1]:5/b", ("http", "::1", 5, "/b")),
        (b"/k\xc3\xa4se und brot", ("http", "shop", 8000, "/k%C3%A4se%20und%20brot")),
        (b"/a%20b%C3%A4", ("http", "shop", 8000, "/a%20b%C3%A4")),
    ],
)
def test_a_location_is_read_as_browsers_read_it(location: bytes, place: tuple[str, str, int, str]):
    """Relative to the request, with or without a scheme, with bytes beyond ASCII."""
    request = build_request(0, EndpointConfig(path="/x/a"), HERE)
    hop = next_hop(request, HERE, _redirect(location))
    assert hop is not None
    there = hop.origin
    assert (there.scheme, there.host, there.port, hop.request.path) == place
    assert hop.request.headers["Host"] == there.authority


@pytest.mark.parametrize(
    "location",
    [None, b"", b"mailto:a@b", b"ftp://other/b", b"http://", b"http://[::1/b", b"http://a:99999/", b"http://a b/"],
)
def test_a_place_that_is_none_is_not_followed(location: bytes | None):
    """No Location, another scheme, a broken address: the redirect itself is the answer."""
    request = build_request(0, EndpointConfig(path="/"), HERE)
    assert next_hop(request, HERE, _redirect(location)) is None


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"/", b"//", b"http://", b"https://shop", b"http://[", b"?", b"\\\\"])
)
def test_any_location_leads_somewhere_or_nowhere(rest: bytes, start: bytes):
    """Whatever a server sends: a request that can be sent, or none."""
    location = (start + rest).replace(b"\r", b"").replace(b"\n", b"")
    request = build_request(0, EndpointConfig(path="/a"), HERE)
    hop = next_hop(request, HERE, _redirect(location))
    if hop is not None:
        line, _, headers = hop.request.wire.partition(b"\r\n")
        assert len(line.split(b" ")) == 3
        assert headers.count(b"\r\n") == len(hop.request.headers) + 1
        assert hop.origin.scheme in {"http", "https"}
