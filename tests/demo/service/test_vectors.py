from __future__ import annotations

import numpy as np
import pytest

from perfloop_demo.service.embedding import DIMENSIONS, embed, split_words
from perfloop_demo.service.vectors import VectorIndex


def test_embedding_is_a_direction():
    """A text's vector has length one; equal words in another case give the same one."""
    assert float(np.linalg.norm(embed("slow queries"))) == pytest.approx(1)
    assert np.array_equal(embed("Slow QUERIES"), embed("slow queries"))


def test_related_texts_are_nearer():
    """Texts that share words are nearer than texts that do not."""
    query = embed("database queries are slow")
    assert embed("slow database query") @ query > embed("purple elephants dance") @ query


def test_text_without_words():
    """No words, no direction, no warning."""
    assert not embed("?!").any()


def test_words():
    """Words are taken in lower case, whatever the script."""
    assert split_words("Grüße, Welt-2!") == ["grüße", "welt", "2"]


def test_search_agrees_with_a_full_sort():
    """The index finds what a full sort finds."""
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(50, DIMENSIONS)).astype(np.float32)
    index = VectorIndex(capacity=100)
    for number, vector in enumerate(matrix):
        index.add(number, vector)
    query = generator.normal(size=DIMENSIONS).astype(np.float32)
    expected = list(np.argsort(-(matrix @ query))[:7])
    assert expected == [neighbour.document_id for neighbour in index.search(query, 7)]


@pytest.mark.parametrize(("added", "asked", "found"), [(0, 5, 0), (3, 5, 3), (3, 3, 3), (3, 1, 1)])
def test_number_of_neighbours(added: int, asked: int, found: int):
    """An index returns what it has, and never more than was asked for."""
    index = VectorIndex(capacity=10)
    for number in range(added):
        index.add(number, embed(f"word{number}"))
    assert len(index.search(embed("word1"), asked)) == found


def test_full_index_forgets_the_oldest():
    """At capacity the newest vector takes the oldest one's place."""
    index = VectorIndex(capacity=2)
    for number in range(3):
        index.add(number, embed(f"word{number}"))
    assert len(index) == 2
    assert {neighbour.document_id for neighbour in index.search(embed("word0"), 5)} == {1, 2}
