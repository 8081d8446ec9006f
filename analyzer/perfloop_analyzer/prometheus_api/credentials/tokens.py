"""Bearer tokens: had from somewhere, kept while they hold, renewed before they end."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import httpx

from perfloop_analyzer.errors import SourceError
from perfloop_base.redaction import register, unregister

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

EARLY_SECONDS = 300.0  # a token is renewed so long before its end,
EARLY_SHARE = 0.25  # or in this last part of its life where that is shorter
SHORTEST_SECONDS = 1.0  # what is over at once would be fetched for every query
FAILURE_SECONDS = 5.0  # after a failure nobody is asked for a token for so long
FRESH_SECONDS = 30.0  # a token that is younger and is refused is not exchanged for another one

log = logging.getLogger("analyzer.prometheus")


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, and for how long it holds from now on, in seconds."""

    value: str
    lifetime: float


class TokenSource(Protocol):
    """Something that hands out tokens."""

    async def fetch(self) -> Token:
        """Return a new token.

        Raises:
            CredentialRefused: The credential is wrong, or there is none.
            SourceUnavailable: There was no answer.
        """


class TokenAuth(httpx.Auth):
    """Sends a bearer token with each request.

    One request fetches, the others wait for it. While a token holds, a failed renewal is a warning; a token that the
    server refuses is exchanged once.
    """

    def __init__(self, source: TokenSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value = ""
        self._fetched_at = self._renew_at = self._ends_at = float("-inf")
        self._failure: SourceError | None = None
        self._failed_at = float("-inf")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request with the token; once more with a new one where the token was revoked."""
        sent = await self._current()
        request.headers["Authorization"] = f"Bearer {sent}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._give_up(sent):
            request.headers["Authorization"] = f"Bearer {await self._current()}"
            yield request

    async def _current(self) -> str:
        async with self._lock:
            now = self._clock()
            holds = now < self._ends_at
            if now < self._renew_at:
                return self._value
            if self._failure is not None and now < self._failed_at + FAILURE_SECONDS:
                if holds:
                    return self._value
                raise self._failure
            try:
                self._keep(await self._source.fetch())
            except SourceError as error:
                self._failure, self._failed_at = error, self._clock()
                if not holds:
                    raise
                log.warning("the token is not renewed, and holds for %.0f s more: %s", self._ends_at - now, error)
            return self._value

    def _keep(self, token: Token) -> None:
        # Only the token in use is remembered as a secret: a year of tokens would slow every line of the log down.
        unregister(self._value)
        register(token.value)
        self._value, self._failure = token.value, None
        self._fetched_at = self._clock()
        lifetime = max(SHORTEST_SECONDS, token.lifetime)
        self._ends_at = self._fetched_at + lifetime
        self._renew_at = self._ends_at - min(EARLY_SECONDS, EARLY_SHARE * lifetime)

    def _give_up(self, refused: str) -> bool:
        """Return whether another token may help: the refused one is not the newest, or not fresh."""
        if refused != self._value:
            return True
        if self._clock() < self._fetched_at + FRESH_SECONDS:
            return False
        self._renew_at = self._ends_at = float("-inf")
        return True
