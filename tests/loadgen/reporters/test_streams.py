"""The section on language models of every report that people read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from perfloop_loadgen.config.scenario import SloConfig
from perfloop_loadgen.reporters.html_report import render_html
from perfloop_loadgen.reporters.markdown import render_markdown
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.streams import StreamMeter
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary import Summary, summarize
from tests.loadgen.conftest import build_document

MS = 1_000_000
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 12},
    "completion_tokens_details": {"reasoning_tokens": 25},
}


def _summary(*, reasons: bool, usage: bool) -> Summary:
    deltas = [{"reasoning": "hm"}] * reasons + [{"content": "a"}, {"content": "b"}]
    meter, tally = StreamMeter(), Tally()
    for number, delta in enumerate(deltas, 1):
        meter.feed(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n", number * 10 * MS)
    if usage:
        meter.feed(b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n", 40 * MS)
    meter.feed(b"data: [DONE]\n\n", 40 * MS)
    assert meter.end(40 * MS) == ("ok", "")
    meter.count(tally.streams_here(), (0, 40 * MS), SloConfig(), asked=(100, 60))
    tally.outcomes["ok"] += 1
    book = Book(Labels(["POST /chat"]))
    book.add([tally], 1.0, 1.0, Load())
    return summarize("t", book, 1.0)


def _texts(summary: Summary) -> dict[str, str]:
    document = replace(build_document(0.1, 1), summary=summary)
    return {
        "text": "\n".join(summary_lines(summary)),
        "html": render_html(document).decode(),
        "markdown": render_markdown(document).decode(),
    }


@pytest.mark.parametrize("kind", ["text", "html", "markdown"])
def test_reasoning_and_the_servers_own_counts_are_in_every_report(kind: str):
    """First tokens apart, what was asked for beside what was counted, and what a cache held."""
    text = _texts(_summary(reasons=True, usage=True))[kind].replace("\\", "")
    for words in (
        *("first reasoning token", "first answer token", "1 of 3 events were reasoning"),
        *("25 of 30 output tokens were reasoning", "100.0 tokens asked for", "the server counted 120.0"),
        *("12 of 120 input tokens (10.0%)", "60.0 tokens in the trace on average, 30.0 from the server"),
    ):
        assert words in text


@pytest.mark.parametrize("kind", ["text", "html", "markdown"])
def test_without_reasoning_the_first_token_is_the_answers(kind: str):
    """No row says it twice; without usage the report says how tokens were counted."""
    text = _texts(_summary(reasons=False, usage=False))[kind]
    assert "first answer token" not in text
    assert "time to first token" in text
    assert "1 of 1 answers reported no usage: each event was counted as one token" in text
    assert "asked for" not in text  # nothing to compare it with
