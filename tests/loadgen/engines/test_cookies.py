"""A jar of cookies for each user."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config import EndpointConfig
from perfloop_loadgen.engines.cookies import CookieJar
from perfloop_loadgen.ports import Head
from perfloop_loadgen.scenario.request import Target, build_request

if TYPE_CHECKING:
    import asyncio

LOGIN = {"path": "/login", "method": "POST", "form": {"user": "x"}}
STEPS = [{"steps": [LOGIN, {"path": "/me"}]}]


def _shop() -> Any:
    """Return a handler that gives every login a session of its own, and lets nobody in without one."""
    numbers = itertools.count()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        headers, status = b"", b"200 OK"
        if request.startswith(b"POST /login"):
            number = next(numbers)
            headers = b"Set-Cookie: theme=dark; Path=/\r\nSet-Cookie: sid=s%d; Path=/; HttpOnly\r\n" % number
        elif not re.search(rb"(?i)\r\ncookie: .*sid=s\d", request):
            status = b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\n%sContent-Length: 0\r\n\r\n" % (status, headers))

    return answer


def _sessions(requests: list[bytes]) -> list[bytes]:
    return [found[1] for request in requests if (found := re.search(rb"(?i)\r\ncookie: .*sid=(s\d+)", request))]


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {
        "base_url": url,
        "duration_seconds": 0.4,
        "concurrent_users": 3,
        "think_time_seconds": 0.02,
        "cookies": True,
    }
    return LoadTestConfig.model_validate(base | changes)


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_what_is_set_is_sent_back(serve: Any, engine: str):
    """Both cookies of the login go to the next step, each user's own."""
    async with serve(_shop()) as service:
        summary = await LoadTester(_config(service.url, engine=engine, scenarios=STEPS)).run_load_test()
        requests = service.requests
    assert set(summary.outcomes) == {"ok"}
    mine = [request for request in requests if b"GET /me" in request]
    assert all(b"theme=dark" in request for request in mine)
    # A session belongs to one login: no two passes share one.
    assert len(set(_sessions(mine))) == len(mine)


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_nothing_is_kept_unless_asked_for(serve: Any, engine: str):
    """Without `cookies: true` the second step is not let in."""
    async with serve(_shop()) as service:
        config = _config(service.url, engine=engine, scenarios=STEPS, cookies=False)
        summary = await LoadTester(config).run_load_test()
    assert summary.total.statuses.keys() == {"200", "401"}
    assert _sessions(service.requests) == []


async def test_a_user_of_a_closed_model_keeps_its_jar(serve: Any):
    """Endpoints in turn: who has logged in once is known from then on."""
    async with serve(_shop()) as service:
        config = _config(service.url, concurrent_users=1, endpoints=[LOGIN, {"path": "/me"}])
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok"}


async def test_every_arrival_of_an_open_model_is_another_user(serve: Any):
    """A login does not begin with the session of somebody else."""
    async with serve(_shop()) as service:
        load = {"shape": "constant_rate", "rate": 50}
        summary = await LoadTester(_config(service.url, scenarios=STEPS, load=load)).run_load_test()
        logins = [request for request in service.requests if request.startswith(b"POST /login")]
    assert set(summary.outcomes) == {"ok"}
    assert len(logins) > 5
    assert _sessions(logins) == []


@pytest.mark.parametrize("cookies", [True, False])
async def test_redirects_take_cookies_along(serve: Any, cookies: bool):  # noqa: FBT001 - a column
    """The session that a login sets opens the page behind its redirect; without a jar it ends with the chain."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request.startswith(b"POST /login"):
            writer.write(b"HTTP/1.1 303 See\r\nLocation: /me\r\nSet-Cookie: sid=s1\r\nContent-Length: 0\r\n\r\n")
        else:
            known = b"200 OK" if b"sid=s1" in request else b"401 No"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % known)

    async with serve(answer) as service:
        summary = await LoadTester(
            _config(service.url, endpoints=[LOGIN], cookies=cookies, redirects="follow")
        ).run_load_test()
        later = [request for request in service.requests if request.startswith(b"POST /login")][3:]
    assert set(summary.outcomes) == {"ok"}
    assert later
    assert all((b"sid=s1" in request) == cookies for request in later)


async def test_cookies_can_be_carried_by_hand(serve: Any):
    """`cookie:NAME` is one of them, `header:Set-Cookie` all of them as a Cookie header sends them."""
    for header, extract in (("sid=${sid}", {"sid": "cookie:sid"}), ("${all}", {"all": "header:Set-Cookie"})):
        steps = [{**LOGIN, "extract": extract}, {"path": "/me", "headers": {"Cookie": header}}]
        async with serve(_shop()) as service:
            config = _config(service.url, cookies=False, scenarios=[{"steps": steps}])
            summary = await LoadTester(config).run_load_test()
        assert set(summary.outcomes) == {"ok"}, header


def _sent(jar: CookieJar, target: Target, path: str = "/", **headers: str) -> str | None:
    endpoint = EndpointConfig(path=path, headers=headers)
    return jar.with_cookies(build_request(0, endpoint, target), target).headers.get("Cookie")


def _set(jar: CookieJar, target: Target, *cookies: str) -> None:
    lines = "".join(f"\r\nSet-Cookie: {cookie}" for cookie in cookies)
    jar.keep(
        build_request(0, EndpointConfig(path="/a/b"), target),
        target,
        Head(200, 0, keep_alive=True, raw=f"HTTP/1.1 200 OK{lines}".encode("latin-1")),
    )


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1", "localhost", "::1"])
def test_a_cookie_goes_where_it_belongs(host: str):
    """Its path, its host; gone when it is deleted."""
    here, jar = Target("http", host, 8000), CookieJar(Target("http", host, 8000))
    _set(jar, here, "a=1; Path=/", "b=2; Path=/a", "c=3")
    assert _sent(jar, here) == "a=1"
    assert set((_sent(jar, here, "/a/x") or "").split("; ")) == {"a=1", "b=2", "c=3"}
    assert _sent(jar, Target("http", "other.example", 8000)) is None
    _set(jar, here, "a=; Path=/; Max-Age=0")
    assert _sent(jar, here) is None
    _set(jar, here, "d=4; Path=/")
    jar.clear()
    assert _sent(jar, here) is None


@pytest.mark.parametrize("value", ["käse", "中", "a=b", '"quoted"'])
def test_any_value_goes_back_as_it_came(value: str):
    """Byte for byte, beyond ASCII too."""
    here = Target("http", "shop.example", 80)
    jar, request = CookieJar(here), build_request(0, EndpointConfig(path="/"), here)
    raw = f"HTTP/1.1 200 OK\r\nSet-Cookie: a={value}; Path=/".encode()
    jar.keep(request, here, Head(200, 0, keep_alive=True, raw=raw))
    assert f"\r\nCookie: a={value}\r\n".encode() in jar.with_cookies(request, here).wire


def test_a_secure_cookie_needs_tls_or_this_machine():
    """As in browsers, for which localhost is secure."""
    shop, local = Target("http", "shop.example", 80), Target("http", "127.0.0.1", 80)
    for target, sent in ((shop, None), (local, "s=1"), (Target("https", "shop.example", 443), "s=1")):
        jar = CookieJar(target)
        _set(jar, target, "s=1; Secure; Path=/")
        assert _sent(jar, target) == sent


def test_the_tests_own_cookies_stay():
    """Its header is kept; a name in both is the test's."""
    here, jar = Target("http", "shop.example", 80), CookieJar(Target("http", "shop.example", 80))
    _set(jar, here, "a=1; Path=/", "b=2; Path=/")
    assert _sent(jar, here, Cookie="b=own; x=y") == "b=own; x=y; a=1"
    assert _sent(jar, here, Cookie="a=0; b=0") == "a=0; b=0"


def test_a_server_cannot_fill_the_memory():
    """Ever new cookies, and very long ones: a browser's number of them is kept."""
    here, jar = Target("http", "shop.example", 80), CookieJar(Target("http", "shop.example", 80))
    for start in range(0, 1000, 100):
        _set(jar, here, *(f"n{number}=x; Path=/" for number in range(start, start + 100)), f"long={'x' * 10_000}")
    sent = _sent(jar, here) or ""
    assert len(sent.split("; ")) <= 150
    assert "n999=x" in sent
    assert "long=" not in sent


@given(
    st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40), max_size=4),
    st.sampled_from(["; Max-Age=", "; Expires=", "; Domain=", "; Path=", "; Secure=", "; Version=1; Port=", "="]),
)
def test_any_cookie_is_kept_or_not(texts: list[str], between: str):
    """Whatever a server sets: nothing is raised, and what goes back can be sent."""
    here, jar = Target("http", "shop.example", 80), CookieJar(Target("http", "shop.example", 80))
    _set(jar, here, *(f"a{number}={text}{between}{text}" for number, text in enumerate(texts)), *texts)
    sent = _sent(jar, here)
    assert sent is None or not set(sent) & set("\r\n\0")
