"""Undo the compression of a body, as its Content-Encoding says (RFC 9110, section 8.4), up to a size.

A few kilobytes may stand for gigabytes: every decoder is asked for no more than may be kept, so that the memory and the
time that a body costs are bounded, whatever the server sends.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from perfloop_loadgen import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER = re.compile(rb"\ncontent-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE)
# Nobody compresses more than twice; each layer may cost the whole of the bound.
_MOST_LAYERS = 4
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_START = b"\x1f\x8b"
# The largest window that RFC 9659 lets a server use: a frame may ask for gigabytes.
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
# A block of four bytes becomes 128 KiB at most: so much of the input becomes 8 MiB at most.
_ZSTD_PIECE_BYTES = 256


class BodyError(Exception):
    """A body that cannot be looked into; `outcome` is the name that the request is counted under."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(f"{outcomes.MEANINGS[outcome]}: {detail}")
        self.outcome = outcome
        self.detail = detail


def decode(head: bytes, body: bytes, limit: int) -> bytes:
    """Return a body as it was before it was compressed; one without a Content-Encoding as it is.

    Args:
        head: the head of its answer.
        body: the bytes that came.
        limit: the largest decoded size, in bytes.

    Raises:
        BodyError: it is larger, damaged or cut short, or its coding is unknown.
    """
    named = b",".join(_HEADER.findall(head)).decode("latin-1").lower() if body else ""
    codings = [coding for coding in (part.strip() for part in named.split(",")) if coding not in {"", "identity"}]
    if len(codings) > _MOST_LAYERS:
        raise BodyError(outcomes.BAD_ENCODING, f"{len(codings)} layers")
    # The last coding was applied last.
    for coding in reversed(codings):
        body = _undo(coding, body, limit)
    return body


def _undo(coding: str, body: bytes, limit: int) -> bytes:
    decoder = _DECODERS.get(coding)
    if decoder is None:
        raise BodyError(outcomes.BAD_ENCODING, f"unknown coding {coding[:20]!r}")
    # One byte more than may be kept shows that there is more.
    decoded = decoder(body, limit + 1)
    if decoded is None:
        raise BodyError(outcomes.BAD_ENCODING, f"damaged or cut short {coding}")
    if len(decoded) > limit:
        raise BodyError(outcomes.BODY_TOO_LARGE, f"{coding} of more than {limit} bytes")
    return decoded


def _gzip(body: bytes, most: int) -> bytes | None:
    """Return the members of a gzip file, one after the other (RFC 1952, section 2.2); what else follows is ignored."""
    decoded = b""
    while len(decoded) < most:
        member = zlib.decompressobj(_GZIP)
        part = _inflate(member, body, most - len(decoded))
        if part is None:
            return None
        decoded, body = decoded + part, member.unused_data
        if not body.startswith(_GZIP_START):
            break
    return decoded


def _deflate(body: bytes, most: int) -> bytes | None:
    """Return what zlib's format holds, or the bare stream that some servers send instead."""
    decoded = _inflate(zlib.decompressobj(_ZLIB), body, most)
    return _inflate(zlib.decompressobj(_RAW), body, most) if decoded is None else decoded


def _inflate(decoder: zlib._Decompress, body: bytes, most: int) -> bytes | None:
    try:
        decoded = decoder.decompress(body, most)
    except zlib.error:
        return None
    return decoded if decoder.eof or len(decoded) >= most else None


def _brotli(body: bytes, most: int) -> bytes | None:
    import brotli  # imported where a server uses it

    decoder = brotli.Decompressor()
    decoded = bytearray()
    try:
        while len(decoded) < most and not decoder.is_finished():
            part = decoder.process(body, output_buffer_limit=most - len(decoded))
            if not part and decoder.can_accept_more_data():
                break
            decoded, body = decoded + part, b""
    except brotli.error:
        return None
    return bytes(decoded) if decoder.is_finished() or len(decoded) >= most else None


def _zstd(body: bytes, most: int) -> bytes | None:
    """Return the frames of a body, one after the other (RFC 8878, section 3)."""
    import zstandard  # imported where a server uses it

    decoded = bytearray()
    try:
        while body and len(decoded) < most:
            frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
            # In small pieces: what one piece becomes is all written before its size is known.
            for start in range(0, len(body), _ZSTD_PIECE_BYTES):
                decoded += frame.decompress(body[start : start + _ZSTD_PIECE_BYTES])
                if frame.eof or len(decoded) >= most:
                    break
            if not frame.eof:
                break
            body = frame.unused_data + body[start + _ZSTD_PIECE_BYTES :]
    except zstandard.ZstdError:
        return None
    return bytes(decoded) if frame.eof or len(decoded) >= most else None


_DECODERS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
