"""The service without HTTP: its rows, cache, vectors, model and faults."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import Depends, Request
from sqlalchemy import func, insert, select

from perfloop_demo.service import tables
from perfloop_demo.service.cache import SwitchedCache, build_cache
from perfloop_demo.service.corpus import Document, generate_documents
from perfloop_demo.service.database import Database
from perfloop_demo.service.embedding import Vector, embed, split_words
from perfloop_demo.service.faults.cache_off import CacheOff
from perfloop_demo.service.faults.cpu_burn import CpuBurn
from perfloop_demo.service.faults.errors import Errors
from perfloop_demo.service.faults.memory_leak import MemoryLeak
from perfloop_demo.service.faults.pool_exhausted import PoolExhausted
from perfloop_demo.service.faults.slow_first_token import SlowFirstToken
from perfloop_demo.service.faults.slow_queries import SlowQueries
from perfloop_demo.service.faults.switchboard import Switchboard
from perfloop_demo.service.instruments.library import LIBRARY
from perfloop_demo.service.language import BigramModel
from perfloop_demo.service.vectors import Neighbour, VectorIndex

if TYPE_CHECKING:
    from perfloop_demo.service.instruments import Instruments
    from perfloop_demo.service.settings import Settings

SEED_DOCUMENTS = 2000
# A search multiplies every vector: 4,096 of 128 floats are 2 MiB.
MAX_DOCUMENTS = 4096
_MAX_TITLE = 80


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content in hexadecimal, which identifies equal contents."""
    return hashlib.sha256(content).hexdigest()


class Service:
    """The state and the operations that the routes use."""

    def __init__(self, settings: Settings, instruments: Instruments = LIBRARY) -> None:
        self.instruments = instruments
        self.database = Database(settings.database_url, instruments)
        self.database.prepare()
        cache = build_cache(settings.redis_url, instruments)
        self.cache_name = cache.name
        self.cache = SwitchedCache(cache)
        self.vectors = VectorIndex(MAX_DOCUMENTS)
        self.model = BigramModel(document.content for document in generate_documents(SEED_DOCUMENTS))
        self.errors = Errors()
        self.faults = Switchboard(
            (
                SlowQueries(self.database),
                CacheOff(self.cache),
                CpuBurn(),
                self.errors,
                MemoryLeak(),
                PoolExhausted(self.database),
                SlowFirstToken(self.model),
            ),
            instruments,
        )
        self._load_vectors()

    def embed(self, text: str) -> Vector:
        """Return the unit vector of a text (`DIMENSIONS` floats), from the cache if it is there."""
        key = f"embedding:{digest(text.encode())}"
        cached = self.cache.get(key)
        if cached is not None:
            return np.frombuffer(cached, dtype=np.float32)
        vector = embed(text)
        self.cache.set(key, vector.tobytes())
        return vector

    def search(self, text: str, count: int) -> list[Neighbour]:
        """Return the `count` documents nearest to a text, nearest first."""
        vector = self.embed(text)
        with self.instruments.measure_vector_search():
            return self.vectors.search(vector, count)

    def store(self, content: str) -> int:
        """Store a text as a document that searches find, and return its id."""
        vector = self.embed(content)
        row = _build_row(Document(content[:_MAX_TITLE], content), vector)
        number, is_new = self.database.add_once(tables.documents, row, MAX_DOCUMENTS)
        if is_new:
            self.vectors.add(number, vector)
        return number

    def hurry(self) -> None:
        """End what requests in flight wait for, so that a stop is quick."""
        self.faults.heal()
        self.database.interrupt()

    def close(self) -> None:
        """Switch every fault off and close every connection."""
        self.faults.heal()
        self.cache.close()
        self.database.close()

    def _load_vectors(self) -> None:
        table = tables.documents
        if not self.database.read(select(func.count()).select_from(table))[0][0]:
            rows = [_build_row(document, embed(document.content)) for document in generate_documents(SEED_DOCUMENTS)]
            with self.database.engine.begin() as connection:
                connection.execute(insert(table), rows)
        newest = select(table.c.id, table.c.vector).order_by(table.c.id.desc()).limit(MAX_DOCUMENTS)
        for number, vector in reversed(self.database.read(newest)):
            self.vectors.add(number, np.frombuffer(vector, dtype=np.float32))


def _build_row(document: Document, vector: Vector) -> dict[str, object]:
    return {
        "digest": digest(document.content.encode()),
        "title": document.title,
        "content": document.content,
        "words": len(split_words(document.content)),
        "vector": vector.tobytes(),
    }


async def _get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_get_service)]


async def maybe_inject_error(service: ServiceDep) -> None:
    """Fail this request with the probability that the errors fault is set to.

    Raises:
        InjectedError: the request fails.
    """
    service.errors.maybe_inject_error()
