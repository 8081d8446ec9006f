"""The initial documents, so that the first search finds something."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Any number: it makes the documents the same on every machine.
_SEED = 3
_SUBJECTS = (
    "The vision encoder",
    "The speech model",
    "The search index",
    "The text pipeline",
    "The agent planner",
    "The token stream",
    "The image resizer",
    "The query router",
    "The prompt cache",
    "The document parser",
)
_VERBS = ("reads", "stores", "ranks", "compares", "compresses", "summarizes", "routes", "caches", "embeds", "measures")
_OBJECTS = (
    "long documents",
    "small pictures",
    "user questions",
    "voice messages",
    "search results",
    "old conversations",
    "product pages",
    "support tickets",
    "street photographs",
    "weather maps",
)
_PLACES = (
    "before the first token leaves",
    "while the load test runs",
    "under a steady load",
    "on two small machines",
    "when the cache is cold",
    "after every deployment",
    "for each new tenant",
    "in the evening peak",
)


class Document(NamedTuple):
    """A document before it has a row."""

    title: str
    content: str


def generate_documents(count: int) -> Iterator[Document]:
    """Yield `count` different documents, the same ones on every machine."""
    choose = random.Random(_SEED).choice  # noqa: S311 - sentences, not secrets
    for number in range(count):
        sentences = [f"{choose(_SUBJECTS)} {choose(_VERBS)} {choose(_OBJECTS)} {choose(_PLACES)}." for _ in range(3)]
        yield Document(f"Note {number + 1}", " ".join(sentences))
