"""Writes native histograms to a real Prometheus: its remote-write protocol 1.0, as far as histograms need it.

https://prometheus.io/docs/specs/prw/remote_write_spec/ and prompb/types.proto of Prometheus. Snappy's block format lets
a text stand uncompressed, as literals.
"""

from __future__ import annotations

import struct
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_VARINT, _DOUBLE, _BYTES = 0, 1, 2
_LONGEST_LITERAL = 60


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _field(number: int, kind: int, content: bytes) -> bytes:
    return _varint(number << 3 | kind) + (_varint(len(content)) + content if kind == _BYTES else content)


def _histogram(at: float, buckets: Sequence[int], total: float) -> bytes:
    """Return a Histogram of schema 0, whose bucket n is from 2^(n-1) to 2^n; `buckets` are the counts from n = 0 on."""
    span = _field(1, _VARINT, _zigzag(0)) + _field(2, _VARINT, _varint(len(buckets)))
    deltas = b"".join(_zigzag(new - old) for old, new in zip((0, *buckets), buckets, strict=False))
    return b"".join(
        (
            _field(1, _VARINT, _varint(sum(buckets))),
            _field(3, _DOUBLE, struct.pack("<d", total)),
            _field(4, _VARINT, _zigzag(0)),
            _field(5, _DOUBLE, struct.pack("<d", 1e-9)),
            _field(6, _VARINT, _varint(0)),
            _field(11, _BYTES, span),
            _field(12, _BYTES, deltas),
            _field(15, _VARINT, _varint(round(at * 1000))),
        )
    )


def _snappy(text: bytes) -> bytes:
    parts = [text[at : at + _LONGEST_LITERAL] for at in range(0, len(text), _LONGEST_LITERAL)]
    return _varint(len(text)) + b"".join(bytes(((len(part) - 1) << 2,)) + part for part in parts)


def write_histograms(
    url: str, labels: Mapping[str, str], samples: Iterable[tuple[float, Sequence[int], float]]
) -> None:
    """Write one series of native histograms: each a moment in Unix seconds, cumulated bucket counts and the sum."""
    named = b"".join(
        _field(1, _BYTES, _field(1, _BYTES, name.encode()) + _field(2, _BYTES, value.encode()))
        for name, value in sorted(labels.items())
    )
    series = named + b"".join(_field(4, _BYTES, _histogram(*sample)) for sample in samples)
    headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    request = urllib.request.Request(f"{url}/api/v1/write", _snappy(_field(1, _BYTES, series)), headers)
    with urllib.request.urlopen(request, timeout=10):
        """Prometheus answers with nothing."""
