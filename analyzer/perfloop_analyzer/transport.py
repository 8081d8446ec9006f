"""Requests to one HTTP API, bounded in time and size: an answer that never ends, or is too large, is refused."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import httpx

from perfloop_analyzer.errors import BadAnswer, SourceUnavailable
from perfloop_base.redaction import redact, redact_url, split_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WHOLE_ANSWER = 3.0  # times the time limit of a query: from the first byte to the last
STREAMED = 8  # times what may be held may come, where it is taken as it comes
CLOCK_TOLERANCE = 15.0  # seconds; a Date header has whole seconds, and an answer may wait


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, read to its end; the names of its headers are found in any spelling."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """Something that takes an answer as it arrives."""

    async def take(self, body: bytearray) -> None:
        """Take what can be used of what there is of the body, and cut it out."""


class Transport:
    """A client of one API.

    Attributes:
        url: The API's URL without user and query, to which paths are relative.
        shown: The API's URL for messages, without secrets.
        skew: How far its clock is ahead of this machine's in seconds; 0 within CLOCK_TOLERANCE.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        most_bytes: int,
        wall: Callable[[], float] = time.time,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """Prepare a client; `options` are httpx's. A user in the URL becomes basic authentication."""
        url, authorization = split_user(url)
        self.shown = redact_url(url)
        self.skew = 0.0
        self._wall = wall
        self._timeout = timeout_seconds
        self._most = most_bytes
        parts = urlsplit(url)
        self.url = parts._replace(query="", fragment="").geturl().rstrip("/") + "/"
        self._client = httpx.AsyncClient(
            base_url=self.url,
            params=httpx.QueryParams(parts.query),
            timeout=timeout_seconds,
            headers=({"Authorization": authorization} if authorization else {}) | dict(headers or {}),
            **options,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def request(self, method: str, path: str, reader: Reader | None = None, **content: Any) -> Answer:
        """Return the response to one request; of one that succeeds, what a reader leaves of it.

        Raises:
            SourceUnavailable: There was none in time.
            BadAnswer: It is too large, or no HTTP.
        """
        try:
            async with (
                asyncio.timeout(self._timeout * WHOLE_ANSWER),
                self._client.stream(method, path, **content) as response,
            ):
                self._compare_clocks(response.headers.get("date", ""))
                taking = reader if response.is_success else None
                return Answer(response.status_code, await self._read(response, taking), response.headers)
        except TimeoutError as error:
            raise SourceUnavailable(f"{self.shown} does not answer: its answer does not end") from error
        except httpx.TransportError as error:
            reason = redact(str(error)) or type(error).__name__
            raise SourceUnavailable(f"{self.shown} does not answer: {reason}") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise BadAnswer(f"{self.shown}: {redact(str(error))}") from error

    async def _read(self, response: httpx.Response, reader: Reader | None) -> bytes:
        body, total = bytearray(), 0
        most = self._most * (STREAMED if reader else 1)
        async for part in response.aiter_bytes():
            body += part
            total += len(part)
            if reader is not None:
                await reader.take(body)
            if len(body) > self._most or total > most:
                raise BadAnswer(
                    f"{self.shown}: the answer is larger than {self._most if total <= most else most} bytes"
                )
        return bytes(body)

    def _compare_clocks(self, date: str) -> None:
        """Learn how far the other clock is ahead, from the answer's Date header."""
        try:
            ahead = parsedate_to_datetime(date).timestamp() - self._wall()
        except (ValueError, TypeError, OverflowError):
            return
        if abs(ahead - self.skew) > CLOCK_TOLERANCE:
            self.skew = ahead if abs(ahead) > CLOCK_TOLERANCE else 0.0
