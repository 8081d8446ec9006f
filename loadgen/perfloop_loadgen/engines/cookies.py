"""The cookies of one user, kept by the standard library's jar (RFC 6265, as far as it goes)."""

from __future__ import annotations

import http.cookiejar
import ipaddress
from email.message import Message
from typing import TYPE_CHECKING
from urllib.request import Request as UrlRequest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.scenario.checks import headers_in

if TYPE_CHECKING:
    from perfloop_loadgen.ports import Head
    from perfloop_loadgen.scenario.request import Request, Target


# As browsers have it (RFC 6265bis, section 5.6): a server cannot fill the memory.
_LONGEST_COOKIE = 8192
_MOST_COOKIES = 150


class CookieJar:
    """What a server has set, and what is sent back to it."""

    def __init__(self, target: Target) -> None:
        # Browsers send secure cookies to this machine without TLS too: it cannot be listened to on the way.
        protocols = ("https", "http") if _is_loopback(target.host) else ("https",)
        self._jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(secure_protocols=protocols))

    def clear(self) -> None:
        """Forget everything: another user begins."""
        self._jar.clear()

    def keep(self, request: Request, target: Target, head: Head) -> None:
        """Take what an answer sets."""
        cookies = [cookie for cookie in headers_in("Set-Cookie", head.raw) if len(cookie) <= _LONGEST_COOKIE]
        if not cookies:
            return
        # Of an answer the library asks for nothing but its headers.
        self._jar.extract_cookies(_SetCookies(cookies), _url_request(request, target))  # type: ignore[arg-type]
        for old in list(self._jar)[:-_MOST_COOKIES]:
            self._jar.clear(old.domain, old.path, old.name)

    def with_cookies(self, request: Request, target: Target) -> Request:
        """Return the request with the cookies that belong to it; one that the test sends itself stays."""
        asked = _url_request(request, target)
        self._jar.add_cookie_header(asked)
        kept = asked.get_header("Cookie")
        if not kept:
            return request
        own = next((value for name, value in request.headers.items() if name.lower() == "cookie"), "")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "cookie"}
        headers["Cookie"] = f"{own}; {_without(kept, own)}".rstrip("; ") if own else kept
        try:
            return request.derive(request.method, request.path, headers, request.body)
        except ConfigError:
            return request  # a cookie that no header can carry


class _SetCookies:
    """The part of an answer that the library's jar reads."""

    def __init__(self, cookies: list[str]) -> None:
        self._message = Message()
        for cookie in cookies:
            self._message["Set-Cookie"] = cookie

    def info(self) -> Message:
        """Return the headers."""
        return self._message


def _url_request(request: Request, target: Target) -> UrlRequest:
    return UrlRequest(f"{target.scheme}://{target.authority}{request.path}", method=request.method)  # noqa: S310 - not opened


def _without(kept: str, own: str) -> str:
    """Return the cookies of a jar but those whose names the test's own header has."""
    names = {pair.partition("=")[0].strip() for pair in own.split(";")}
    return "; ".join(pair for pair in kept.split("; ") if pair.partition("=")[0].strip() not in names)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
