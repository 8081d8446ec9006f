"""Prompts: of a length, unlike each other, and alike only where that is asked for."""

from __future__ import annotations

import json
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.llm import LlmConfig
from perfloop_loadgen.scenario.llm.prompts import build_source, read_prompts
from perfloop_loadgen.scenario.llm.words import tagged_words, words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOTHING: Mapping[str, Any] = {}


def _texts(llm: dict[str, Any], seed: int = 1, place: int = 1, count: int = 2000) -> list[str]:
    source = build_source(LlmConfig.model_validate({"model": "m"} | llm), seed, place)
    return [source(number, NOTHING).text for number in range(count)]


def _common(one: list[str], other: list[str]) -> list[str]:
    """Return the words that both begin with."""
    return [word for word, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]


def test_no_two_prompts_begin_alike():
    """Not in a run, not of another endpoint, not of another run: no two have their first word in common."""
    found = [*_texts({}), *_texts({}, place=2), *_texts({}, seed=2)]
    assert len({text.split()[0] for text in found}) == len(found)
    assert {len(text.split()) for text in found} == {100}


def test_the_seed_gives_the_same_prompts_again():
    """Whichever of them a worker makes: a prompt follows from its number, not from those before it."""
    source = build_source(LlmConfig(model="m"), 7, 1)
    assert [source(number, NOTHING).text for number in reversed(range(20))][::-1] == _texts({}, seed=7, count=20)


@given(st.integers(min_value=1, max_value=300), st.text(max_size=10))
def test_words_are_as_many_as_are_asked_for(count: int, key: str):
    """The first ones stay the same in a longer text of the same key."""
    assert len(tagged_words(key, count).split(" ")) == len(words(key, count).split(" ")) == count
    assert words(key, count + 7).startswith(words(key, count) + " ")


@pytest.mark.parametrize(
    ("llm", "shared", "whole"), [({"shared_prefix_ratio": 0.4}, 40, 100), ({"shared_prefix_words": 300}, 300, 400)]
)
def test_a_shared_prefix_is_there_when_it_is_asked_for(llm: dict[str, Any], shared: int, whole: int):
    """As long as asked, the same all over the run, another one in the next; behind it the prompts differ at once."""
    here, there = _texts(llm, count=50), _texts(llm, seed=2, count=50)
    assert {len(text.split()) for text in here} == {whole}
    for one, other in pairwise(here):
        assert len(_common(one.split(), other.split())) == shared
    assert here[0].split()[0:5] != there[0].split()[0:5]


def test_a_prefix_may_be_all_of_the_prompt():
    """Then prompts are the same, as was asked for."""
    assert len(set(_texts({"prompt_words": 5, "shared_prefix_ratio": 1}, count=3))) == 1
    source = build_source(LlmConfig(model="m", shared_prefix_words=9), 1, 1)
    assert source(0, {"input_tokens": 5}).text == source(1, {"input_tokens": 5}).text
    assert len(source(0, {"input_tokens": 20}).text.split()) == 20


def test_tokens_are_taken_as_words():
    """By tokens_per_word, and a prompt knows how many tokens were asked for."""
    source = build_source(LlmConfig.model_validate({"model": "m", "prompt_tokens": 300, "tokens_per_word": 1.5}), 1, 1)
    prompt = source(0, NOTHING)
    assert (len(prompt.text.split()), prompt.tokens) == (200, 300)
    assert (
        build_source(LlmConfig.model_validate({"model": "m", "tokens_per_word": 1.5}), 1, 1)(0, NOTHING).tokens == 150
    )


def test_the_length_of_a_traced_request_is_its_own():
    """Not that of the section; without blocks no two prompts are alike."""
    source = build_source(LlmConfig.model_validate({"model": "m", "prompt_words": 5}), 1, 1)
    first, second = (source(number, {"input_tokens": 50}) for number in range(2))
    assert len(first.text.split()) == len(second.text.split()) == first.tokens == 50
    assert first.text.split()[0] != second.text.split()[0]


def test_a_column_of_data_may_have_the_length():
    """As a text, which cells of CSV are; anything else is a sentence."""
    source = build_source(LlmConfig(model="m"), 1, 1)
    assert len(source(0, {"input_tokens": "30"}).text.split()) == 30
    with pytest.raises(ConfigError, match="input_tokens: 'many' is no number of tokens"):
        source(0, {"input_tokens": "many"})


def test_blocks_of_a_trace_are_shared_as_the_trace_says():
    """Two blocks in common are two blocks of the same words; another run has other words for them."""
    llm = LlmConfig(model="m")

    def tokens(seed: int, number: int, length: int, blocks: list[int]) -> list[str]:
        values = {"input_tokens": length, "hash_ids": blocks, "block_tokens": 16}
        return build_source(llm, seed, 1)(number, values).text.split()

    one, other = tokens(1, 0, 40, [0, 1, 2]), tokens(1, 1, 45, [0, 1, 3])
    assert (len(one), len(other)) == (40, 45)
    assert _common(one, other) == one[:32]
    assert tokens(2, 0, 40, [0, 1, 2])[:5] != one[:5]
    assert len(tokens(1, 2, 40, [5])) == 40  # fewer blocks than tokens: the rest is the request's own
    assert len(tokens(1, 2, 10, [5, 6, 7])) == 10


def test_prompts_of_a_file_are_taken_in_turn(tmp_path: Path):
    """As they are: none is changed, and empty lines are none."""
    path = tmp_path / "prompts.txt"
    path.write_text("first\r\n\n  \nsecond prompt\u2028still second\n")
    assert read_prompts(path) == ["first", "second prompt\u2028still second"]
    assert _texts({"prompts_file": path}, count=3) == ["first", "second prompt\u2028still second", "first"]
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(["a", "b\nc"]))
    assert read_prompts(path) == ["a", "b\nc"]


def test_prompts_of_a_file_may_be_made_unlike_each_other(tmp_path: Path):
    """By one word before each, which follows from the seed."""
    path = tmp_path / "prompts.txt"
    path.write_text("one\ntwo\n")
    found = _texts({"prompts_file": path, "unique_prompts": True}, count=6)
    assert len({text.split()[0] for text in found}) == 6
    assert [text.split(" ", 1)[1] for text in found] == ["one", "two"] * 3
    assert found == _texts({"prompts_file": path, "unique_prompts": True}, count=6)
    assert not set(found) & set(_texts({"prompts_file": path, "unique_prompts": True}, seed=2, count=6))


def test_bad_prompt_files_are_named(tmp_path: Path):
    """Missing, empty, or not texts: one sentence each."""
    path = tmp_path / "p.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prompts(path)
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="must hold at least one prompt, each a text"):
        read_prompts(path)
