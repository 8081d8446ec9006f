"""What every report says about the prompts of a run: how to send them again, and whether a cache could answer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from perfloop_loadgen.scenario.llm.prompts import read_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop_loadgen.config import EndpointConfig, LoadTestConfig
    from perfloop_loadgen.config.llm import LlmConfig
    from perfloop_loadgen.samples.book import Book


def generates_prompts(config: LoadTestConfig) -> bool:
    """Return whether any prompt of the test follows from a seed, in whole or by a word of its own."""
    return any(one.llm is not None and not _as_they_are(one.llm) for one in _requests(config))


def prompt_notes(config: LoadTestConfig, seed: int, book: Book) -> list[str]:
    """Return the sentences on the prompts of a run."""
    notes = []
    if generates_prompts(config):
        notes.append(f"generated prompts follow from the seed {seed}: a test with `seed: {seed}` sends the same ones")
    # By file: endpoints with the same one send the same prompts.
    files: dict[Path, int] = {}
    sent = {label: tally.requests for label, tally in book.rows()}
    for one in _requests(config):
        if one.llm is not None and one.llm.prompts_file is not None and _as_they_are(one.llm):
            files[one.llm.prompts_file] = files.get(one.llm.prompts_file, 0) + sent.get(one.label, 0)
    for path, requests in files.items():
        prompts = _distinct(path)
        if requests > prompts:
            notes.append(
                f"{requests} requests had the {prompts} prompts of {path}: "
                "a server with a prompt cache had read them before (unique_prompts: true makes them differ)"
            )
    return notes


def _as_they_are(llm: LlmConfig) -> bool:
    return llm.prompts_file is not None and not llm.unique_prompts


@lru_cache(maxsize=16)
def _distinct(path: Path) -> int:
    # Kept: the page of a run under way asks for it each time.
    return len(set(read_prompts(path)))


def _requests(config: LoadTestConfig) -> Iterator[EndpointConfig]:
    yield from config.requested
    for scenario in config.scenarios:
        yield from scenario.steps
