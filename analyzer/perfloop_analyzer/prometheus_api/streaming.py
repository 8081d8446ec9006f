"""Decodes a long answer while it arrives: no more than a few MiB of JSON are held, and never its Python values at once.

Prometheus, Thanos, Mimir and VictoriaMetrics write the series of a matrix one after the other, without white space.
Between two of them stand the bytes of BETWEEN, which are nowhere else: within a text a quotation mark has a backslash
before it. What was decoded is cut out of the answer, whose rest is a whole answer with fewer series; one in another
form is decoded at its end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import orjson

from perfloop_analyzer.errors import BadAnswer
from perfloop_analyzer.prometheus_api.decode import MOST_VALUES, decode_range, decode_series, refuse_more
from perfloop_analyzer.series import Batch

if TYPE_CHECKING:
    from perfloop_analyzer.series import Grid

BETWEEN = b'},{"metric":'
BEGIN = b'"result":['
MATRIX = b'"resultType":"matrix"'
LOOK = 4096  # bytes in which the first series begins
PART_BYTES = 4 * 2**20  # of JSON that are decoded at a time: fifty MiB of Python values


class MatrixReader:
    """Takes the parts of one answer as they arrive."""

    def __init__(self, signal: str, grid: Grid, turn: asyncio.Lock, most: int = MOST_VALUES) -> None:
        """Expect an answer.

        Args:
            signal: The name of the batch that is returned.
            grid: The moments that were asked for.
            turn: Held while something is decoded: two at a time need twice the memory.
            most: How many values it may need.
        """
        self._signal = signal
        self._grid = grid
        self._turn = turn
        self._most = most
        self._parts: list[Batch] = []
        self._series = 0

    async def take(self, body: bytearray) -> None:
        """Decode what is whole of an answer so far, and cut it out.

        Raises:
            BadAnswer: It cannot be read, or needs more than the most values.
        """
        if len(body) < PART_BYTES:
            return
        begin = body.find(BEGIN, 0, LOOK) + len(BEGIN)
        end = body.rfind(BETWEEN)
        if begin < len(BEGIN) or end < begin or MATRIX not in body[:begin]:
            return
        whole = bytes(body[begin : end + 1])
        del body[begin : end + 2]
        async with self._turn:
            self._parts.append(await asyncio.to_thread(self._decode, whole))
        self._series += len(self._parts[-1])
        refuse_more(self._series, self._signal, self._grid, self._most)

    def _decode(self, series: bytes) -> Batch:
        try:
            result = orjson.loads(b"[%b]" % series)
        except orjson.JSONDecodeError as error:
            raise BadAnswer(f"{self._signal}: the response is not a Prometheus response: {error}") from error
        return decode_series(result, self._signal, self._grid, self._most)

    async def finish(self, body: bytes, small: int) -> Batch:
        """Return the whole answer, of which `body` is what is left; up to `small` bytes of it are decoded at once."""
        if len(body) <= small and not self._parts:
            return decode_range(body, self._signal, self._grid, self._most)
        async with self._turn:
            return await asyncio.to_thread(self._join, body)

    def _join(self, body: bytes) -> Batch:
        last = decode_range(body, self._signal, self._grid, self._most)
        refuse_more(self._series + len(last), self._signal, self._grid, self._most)
        parts = [*self._parts, last]
        labels = tuple(one for part in parts for one in part.labels)
        values = np.empty((len(labels), self._grid.points))
        row = 0
        while parts:  # each part is given back as soon as it is copied
            part = parts.pop(0)
            values[row : row + len(part)] = part.values
            row += len(part)
        self._parts.clear()
        return Batch(self._signal, self._grid, labels, values)
