from __future__ import annotations

import time

from perfloop_demo.service.corpus import generate_documents
from perfloop_demo.service.language import BigramModel, find_keywords, summarize


async def test_same_prompt_same_answer():
    """The model is random for the reader and the same for the test."""
    model = BigramModel(document.content for document in generate_documents(50))
    answers = [[token async for token in model.stream("hello", 12)] for _ in range(2)]
    other = [token async for token in model.stream("goodbye", 12)]
    assert (answers[0] == answers[1], answers[0] == other, len(other)) == (True, False, 12)


async def test_first_token_delay():
    """The delay comes before the first token and not between the others."""
    model = BigramModel(["The cat sat. The dog ran."])
    model.first_token_delay_seconds = 0.2
    start = time.monotonic()
    times = [time.monotonic() - start async for _ in model.stream("x", 3)]
    assert times[0] >= 0.2
    assert times[2] - times[0] < 0.2


def test_keywords_and_summary():
    """Frequent long words are keywords; the summary is the sentence with most of them."""
    text = "Cache misses hurt. The cache misses because the cache is cold. Fine."
    assert find_keywords(text)[:2] == ["cache", "misses"]
    assert summarize(text) == "The cache misses because the cache is cold"


def test_summary_of_nothing():
    """A text without sentences has an empty summary."""
    assert (summarize("..."), find_keywords("a b")) == ("", [])


def test_corpus_is_the_same_everywhere():
    """The seed documents are different from each other and the same at each call."""
    documents = list(generate_documents(300))
    assert documents == list(generate_documents(300))
    assert len({document.content for document in documents}) == 300
