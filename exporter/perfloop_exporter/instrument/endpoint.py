"""`GET /metrics`, answered on a thread of its own: a scrape holds up no request, and no busy pool a scrape."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from perfloop_exporter.instrument.scrape import ScrapeRequest, answer

if TYPE_CHECKING:
    from perfloop_exporter.instrument.exchange import Receive, Send
    from perfloop_exporter.instrument.workers import WorkerGroup


@lru_cache(maxsize=1)
def _scraper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="perfloop-scrape")


class MetricsEndpoint:
    """An ASGI app of one page."""

    is_metrics_endpoint: ClassVar[bool] = True

    def __init__(self, workers: WorkerGroup) -> None:
        self._workers = workers

    async def __call__(self, scope: Any, _receive: Receive, send: Send) -> None:
        """Serve one scrape."""
        if scope["method"] not in {"GET", "HEAD"}:
            headers = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        work = partial(self._answer, read_request(scope))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another event loop than asyncio's
            body, headers = work()
        else:
            body, headers = await loop.run_in_executor(_scraper(), work)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, request: ScrapeRequest) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        families = self._workers.families()
        return answer(replace(request, shared=self._workers.shared), families)


def read_request(scope: Any) -> ScrapeRequest:
    """What the request's headers and query ask for."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return ScrapeRequest(
        accept=headers.get(b"accept", ""),
        gzip="gzip" in headers.get(b"accept-encoding", ""),
        names=frozenset(query.get("name[]", ())),
    )
