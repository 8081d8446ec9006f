"""Prompts: of a file, generated to a length, or made of the blocks of a trace.

A server's prefix cache answers instead of its model wherever prompts begin alike. Every generated prompt therefore
follows from the run's seed, the endpoint, and the number of the request over all workers: none comes twice, in this run
or in another. What is the same on purpose is asked for: a shared prefix, or the blocks that a trace says were shared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.texts import read_text
from perfloop_loadgen.scenario.llm.lengths import LONGEST, build_draw
from perfloop_loadgen.scenario.llm.words import tag, tagged_words, words
from perfloop_loadgen.scenario.traces import BLOCK_TOKENS, HASH_IDS, INPUT_TOKENS, tokens_in

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.config.llm import LlmConfig

DEFAULT_WORDS = 100
# As many blocks of a trace are kept as text; each is a few kilobytes.
_KEPT_BLOCKS = 512


class Prompt(NamedTuple):
    """The text of a prompt, and how many tokens it was meant to have; 0 where nobody meant any number."""

    text: str
    tokens: int = 0


# Makes a prompt from the number of the request over all workers and the values of its pass.
Source = Callable[[int, Mapping[str, Any]], Prompt]


def build_source(llm: LlmConfig, seed: int, place: int) -> Source:
    """Return where the prompts of an endpoint come from.

    Args:
        llm: its section.
        seed: the run's.
        place: the number of the endpoint: no other one of the run has the same prompts.

    Raises:
        ConfigError: a file that the section names cannot be used.
    """
    if llm.prompts_file is not None:
        prompts = [Prompt(text) for text in read_prompts(llm.prompts_file)]
        if llm.unique_prompts:
            return lambda number, _: Prompt(f"{tag(f'{seed}/{place}/{number}')} {prompts[number % len(prompts)].text}")
        return lambda number, _: prompts[number % len(prompts)]
    return _Generator(llm, seed, place).prompt


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a .json list, or of a text file with one on each line.

    Raises:
        ConfigError: the file cannot be read, or holds no prompts.
    """
    what = f"prompts_file: {path}"
    text = read_text(path, what)
    try:
        # Not by splitlines(): a prompt may hold U+2028 and other separators.
        lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
        prompts = json.loads(text) if path.suffix == ".json" else lines
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what}: cannot be read: {error}") from error
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise ConfigError(f"{what}: must hold at least one prompt, each a text")
    return list(prompts)


@dataclass(frozen=True, slots=True)
class _Lengths:
    """How many words a generated prompt has, and how many of them are the shared prefix."""

    draw: Callable[[str], int]
    in_tokens: bool
    tokens_per_word: float
    shared_ratio: float
    shared_words: int

    @classmethod
    def of(cls, llm: LlmConfig) -> _Lengths:
        length = llm.prompt_tokens or llm.prompt_words
        return cls(
            draw=build_draw(length) if length is not None else lambda _: DEFAULT_WORDS,
            in_tokens=llm.prompt_tokens is not None,
            tokens_per_word=llm.tokens_per_word,
            shared_ratio=llm.shared_prefix_ratio,
            shared_words=llm.shared_prefix_words,
        )

    def words_of(self, tokens: int) -> int:
        """Return how many words make so many tokens."""
        return min(max(1, round(tokens / self.tokens_per_word)), LONGEST)

    def tokens_of(self, count: int) -> int:
        """Return how many tokens so many words are taken for."""
        return round(count * self.tokens_per_word)


class _Generator:
    def __init__(self, llm: LlmConfig, seed: int, place: int) -> None:
        self._lengths = _Lengths.of(llm)
        self._key = f"{seed}/{place}"
        self._block = lru_cache(maxsize=_KEPT_BLOCKS)(lambda number, count: words(f"{seed}/block/{number}", count))
        self._shared = ""
        self._shared_count = 0

    def prompt(self, number: int, values: Mapping[str, Any]) -> Prompt:
        """Return the prompt of a request; its length is the trace's, where the pass has one."""
        lengths = self._lengths
        tokens = tokens_in(values, INPUT_TOKENS)
        if tokens is not None:
            blocks = values.get(HASH_IDS)
            if blocks:
                return Prompt(self._of_blocks(number, tokens, values[BLOCK_TOKENS], blocks), tokens)
            count = lengths.words_of(tokens)
        else:
            drawn = lengths.draw(f"{self._key}/{number}")
            # Before the words that were asked for; of a traced prompt, whose length is known, they are a part.
            count = lengths.shared_words + (lengths.words_of(drawn) if lengths.in_tokens else drawn)
        shared = min(lengths.shared_words or round(count * lengths.shared_ratio), count)
        own = tagged_words(f"{self._key}/{number}", count - shared) if count > shared else ""
        text = " ".join(part for part in (self._prefix(shared), own) if part)
        return Prompt(text, tokens or lengths.tokens_of(count))

    def _prefix(self, count: int) -> str:
        """Return the first words of the text that the prompts of the run share."""
        if not count:
            return ""
        if count > self._shared_count:
            self._shared_count = 2 * count
            self._shared = words(f"{self._key}/shared", self._shared_count)
        return " ".join(self._shared.split(" ", count)[:count])

    def _of_blocks(self, number: int, tokens: int, block_tokens: int, blocks: Sequence[int]) -> str:
        """Return a prompt that begins as others with the same first blocks do; each block has so many tokens."""
        lengths = self._lengths
        parts = []
        left = lengths.words_of(tokens)
        whole = lengths.words_of(block_tokens)
        for block in blocks:
            count = min(whole, left)
            if count:
                parts.append(self._block(block, count))
                left -= count
        if left:
            parts.append(tagged_words(f"{self._key}/{number}", left))
        return " ".join(parts)
