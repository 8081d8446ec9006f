"""Requests to an OpenAI-compatible model: streamed, with the server's own token counts requested."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.config.scenario import EndpointConfig, LlmConfig

# Enough different prompts that a prefix cache cannot answer instead of the model.
SYNTHETIC_PROMPTS = 200
_WORDS = (
    "river",
    "stone",
    "light",
    "wind",
    "paper",
    "garden",
    "metal",
    "cloud",
    "forest",
    "window",
    "bridge",
    "winter",
)


def prompt_endpoints(endpoint: EndpointConfig, llm: LlmConfig) -> list[EndpointConfig]:
    """Return the endpoint once for each prompt, with the body that carries it."""
    return [
        endpoint.model_copy(update={"llm": None, "stream": True, "method": "POST", "data": _body(llm, prompt)})
        for prompt in (read_prompts(llm.prompts_file) if llm.prompts_file else synthetic_prompts(llm.prompt_words))
    ]


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a .json list, or of a text file with one on each line.

    Raises:
        ConfigError: the file cannot be read, or holds no prompts.
    """
    try:
        text = path.read_text(encoding="utf-8")
        prompts = json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            [f"prompts_file: {path}: cannot be read: {getattr(error, 'strerror', None) or error}"]
        ) from error
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise ConfigError([f"prompts_file: {path}: must hold at least one prompt, each a text"])
    return list(prompts)


def synthetic_prompts(words: int) -> list[str]:
    """Return prompts of so many words, different from their first word on; words are not tokens."""
    chance = random.Random(words)  # noqa: S311 - filler text, not a secret
    return [" ".join(chance.choices(_WORDS, k=words)) for _ in range(SYNTHETIC_PROMPTS)]


def _body(llm: LlmConfig, prompt: str) -> dict[str, Any]:
    return {
        "model": llm.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": llm.max_tokens,
        "temperature": llm.temperature,
        "stream": True,
        # Without it, servers do not report how many tokens a streamed answer had.
        "stream_options": {"include_usage": True},
    }
