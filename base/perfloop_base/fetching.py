"""One request over HTTP whose answer is bounded in time and size, whatever is behind the address."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

# A gzip or a zlib stream, whichever its head says (zlib's inflateInit2).
_GZIP_OR_ZLIB = 47


async def fetch(  # noqa: PLR0913 - each bounds or shapes the request
    client: httpx.AsyncClient,
    url: str,
    parameters: Mapping[str, str | float],
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float,
    most_bytes: int,
) -> tuple[int, bytes]:
    """Return status and body of the answer to a GET; a proxy between may have compressed it.

    Raises:
        TimeoutError: The whole answer did not arrive in time.
        ValueError: It is longer than `most_bytes`, before or after it was unpacked, or packed in another way.
        httpx.HTTPError: There is no answer.
        zlib.error: It is packed, and damaged.
    """
    asked = {"Accept-Encoding": "identity", **(headers or {})}
    # Of the whole answer: httpx's own timeouts are those of each read, and an answer may drip.
    async with asyncio.timeout(seconds), client.stream("GET", url, params=dict(parameters), headers=asked) as answer:
        body = bytearray()
        async for piece in answer.aiter_raw():
            body += piece
            _check_size(len(body), most_bytes)
    packing = answer.headers.get("Content-Encoding", "identity")
    if packing == "identity":
        return answer.status_code, bytes(body)
    if packing not in {"gzip", "deflate"}:
        raise ValueError("the answer is packed in a way that was not asked for")
    unpacked = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(bytes(body), most_bytes + 1)
    _check_size(len(unpacked), most_bytes)
    return answer.status_code, unpacked


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise ValueError(f"the answer is longer than {most_bytes} bytes")
