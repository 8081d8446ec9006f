"""The vector index: exact nearest neighbours in a fixed amount of memory."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

import numpy as np

from perfloop_demo.service.embedding import DIMENSIONS, Vector


class Neighbour(NamedTuple):
    """A document near a query, with the cosine of the angle between them."""

    document_id: int
    score: float


class VectorIndex:
    """Vectors of the newest documents; at capacity a new one takes the oldest one's place."""

    def __init__(self, capacity: int) -> None:
        self._matrix = np.zeros((capacity, DIMENSIONS), dtype=np.float32)
        self._ids = np.zeros(capacity, dtype=np.int64)
        self._added = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return min(self._added, len(self._ids))

    def add(self, document_id: int, vector: Vector) -> None:
        """Make a document findable."""
        with self._lock:
            place = self._added % len(self._ids)
            self._matrix[place] = vector
            self._ids[place] = document_id
            self._added += 1

    def search(self, query: Vector, count: int) -> list[Neighbour]:
        """Return the nearest documents, nearest first."""
        filled = len(self)
        scores = self._matrix[:filled] @ query
        wanted = min(count, filled)
        # A partition finds the nearest in linear time; only those are sorted.
        nearest = np.argpartition(-scores, wanted - 1)[:wanted] if wanted else np.empty(0, dtype=np.int64)
        ordered = nearest[np.argsort(-scores[nearest], kind="stable")]
        return [Neighbour(int(self._ids[place]), float(scores[place])) for place in ordered]
