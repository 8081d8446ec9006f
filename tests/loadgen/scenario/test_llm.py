"""Prompts and the requests that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.config import EndpointConfig
from perfloop_loadgen.scenario.llm import SYNTHETIC_PROMPTS, prompt_endpoints, read_prompts, synthetic_prompts

if TYPE_CHECKING:
    from pathlib import Path


def test_synthetic_prompts_differ_and_repeat():
    """So many words each, different prompts for a cache, the same ones in every run."""
    prompts = synthetic_prompts(30)
    assert len(prompts) == SYNTHETIC_PROMPTS
    assert {len(prompt.split()) for prompt in prompts} == {30}
    assert len(set(prompts)) == SYNTHETIC_PROMPTS
    assert prompts == synthetic_prompts(30)


def test_a_text_file_has_a_prompt_on_each_line(tmp_path: Path):
    """Empty lines are none."""
    path = tmp_path / "prompts.txt"
    path.write_text("first\n\n  \nsecond prompt\n")
    assert read_prompts(path) == ["first", "second prompt"]


def test_each_prompt_is_a_request_of_one_row(tmp_path: Path):
    """Streamed, posted, with usage requested; the row is the endpoint's own."""
    path = tmp_path / "prompts.json"
    path.write_text('["a", "b"]')
    endpoint = EndpointConfig.model_validate(
        {"path": "/v1/chat/completions", "llm": {"model": "m", "prompts_file": path, "max_tokens": 9}}
    )
    first, second = prompt_endpoints(endpoint, endpoint.llm)
    assert first.label == second.label == "POST /v1/chat/completions"
    assert first.stream
    assert first.data == {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 9,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
