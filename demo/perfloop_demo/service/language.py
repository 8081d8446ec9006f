"""A very small language model: bigrams of the corpus, and the words that matter in a text."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from perfloop_demo.service.embedding import split_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

MODEL_NAME = "perfloop-bigram"
# About the speed of a small model on a laptop.
_TOKEN_SECONDS = 0.004
_SHORT_WORD = 3
# How soon a waiting answer notices that its fault has ended.
_SLICE_SECONDS = 0.1


class BigramModel:
    """Writes sentences in the style of the texts it was trained on."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._followers: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            words = text.split()
            for word, follower in pairwise(words):
                self._followers[word].append(follower)
        self._starts = sorted(word for word in self._followers if word[0].isupper())
        self.first_token_delay_seconds = 0.0

    async def _wait_for_first_token(self) -> None:
        start = time.monotonic()
        # In slices, so that switching the fault off, in another thread, ends the current waits too.
        while (left := start + self.first_token_delay_seconds - time.monotonic()) > 0:  # noqa: ASYNC110 - see above
            await asyncio.sleep(min(left, _SLICE_SECONDS))

    async def stream(self, prompt: str, max_tokens: int) -> AsyncIterator[str]:
        """Yield tokens one by one; the same prompt gets the same answer."""
        await self._wait_for_first_token()
        generator = random.Random(zlib.crc32(prompt.encode()))  # noqa: S311 - words, not secrets
        word = generator.choice(self._starts)
        for _ in range(max_tokens):
            yield word
            await asyncio.sleep(_TOKEN_SECONDS)
            word = generator.choice(self._followers.get(word) or self._starts)


def find_keywords(text: str, count: int = 5) -> list[str]:
    """Return the most frequent words longer than three letters."""
    counts = Counter(word for word in split_words(text) if len(word) > _SHORT_WORD)
    return [word for word, _ in counts.most_common(count)]


def summarize(text: str) -> str:
    """Return the sentence that holds most of the text's keywords."""
    sentences = [sentence.strip() for sentence in text.replace("\n", " ").split(".") if sentence.strip()]
    keywords = set(find_keywords(text))
    return max(sentences, key=lambda sentence: len(keywords & set(split_words(sentence))), default="")
