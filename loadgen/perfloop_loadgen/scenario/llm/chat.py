"""The requests of one endpoint of a language model, and its conversations."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from perfloop_loadgen.scenario.journey import BROKEN_OFF, Answer, Pause
from perfloop_loadgen.scenario.llm.bodies import ANTHROPIC_VERSION, Messages, body_of
from perfloop_loadgen.scenario.llm.lengths import build_draw
from perfloop_loadgen.scenario.llm.prompts import Prompt, build_source
from perfloop_loadgen.scenario.template import fill, fill_path, is_open
from perfloop_loadgen.scenario.traces import OUTPUT_TOKENS, tokens_in
from perfloop_loadgen.streaming.text import answer_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from perfloop_loadgen.config.llm import LlmConfig
    from perfloop_loadgen.config.scenario import EndpointConfig
    from perfloop_loadgen.scenario.request import Request

_DEFAULT_MAX_TOKENS = 128


class Origin(NamedTuple):
    """What the prompts of an endpoint follow from: the run's seed, the endpoint's number, and the worker's share."""

    seed: int
    place: int
    worker: int = 0
    workers: int = 1


class Chat:
    """Builds the requests of an endpoint.

    Args:
        endpoint: with its section `llm`.
        origin: what its prompts follow from.
        build: makes a request of an endpoint whose body is in `data`, and of whether its answer will be read.

    Raises:
        ConfigError: a file that the section names cannot be used.
    """

    def __init__(
        self, endpoint: EndpointConfig, llm: LlmConfig, origin: Origin, build: Callable[[EndpointConfig, bool], Request]
    ) -> None:
        self._llm = llm
        self._api = llm.api_of(endpoint.path)
        self._is_open = is_open([endpoint.path, endpoint.headers, llm.body, llm.system])
        if not self._is_open:
            # What is escaped is the text itself from here on.
            endpoint, self._llm = _filled(endpoint, llm, {})
        headers = dict(endpoint.headers)
        if self._api == "messages" and "anthropic-version" not in {name.lower() for name in headers}:
            headers["anthropic-version"] = ANTHROPIC_VERSION
        self._endpoint = endpoint.model_copy(
            update={"llm": None, "stream": True, "method": "POST", "headers": headers, "name": endpoint.label}
        )
        self._build = build
        self._source = build_source(llm, origin.seed, origin.place)
        limit = llm.max_completion_tokens or llm.max_tokens
        self._limit = build_draw(limit) if limit is not None else lambda _: _DEFAULT_MAX_TOKENS
        self._key = f"{origin.seed}/{origin.place}"
        # Each turn of each conversation has a number of its own over all workers.
        self._numbers = count(origin.worker, origin.workers)

    def single(self, values: Mapping[str, Any]) -> Request:
        """Return the request of one prompt."""
        number = next(self._numbers)
        prompt = self._source(number, values)
        limit = self._limit_of(number, values)
        return self._request([_said("user", prompt.text)], values, prompt, limit)

    def converse(self, values: dict[str, Any]) -> Generator[Request | Pause, Answer, object]:
        """Take the turns of a conversation; one that fails ends it."""
        messages: list[Mapping[str, str]] = []
        for turn in range(1, self._llm.turns + 1):
            number = next(self._numbers)
            prompt = self._source(number, values)
            messages.append(_said("user", prompt.text))
            is_last = turn == self._llm.turns
            # What was asked for is the first prompt's length: later ones have answers in them.
            asked = prompt if turn == 1 else Prompt(prompt.text)
            limit = self._limit_of(number, values)
            answer = yield self._request(messages, values, asked, limit, reads=not is_last)
            if not answer.ok:
                return BROKEN_OFF
            if is_last:
                break
            messages.append(_said("assistant", answer_text(answer.body)))
            if self._llm.think_time_seconds:
                yield Pause(self._llm.think_time_seconds)
        return None

    def _limit_of(self, number: int, values: Mapping[str, Any]) -> int:
        """Return how many tokens an answer may have; as the prompt, it follows from the number of the request."""
        return tokens_in(values, OUTPUT_TOKENS) or self._limit(f"{self._key}/{number}/answer")

    def _request(
        self, messages: Messages, values: Mapping[str, Any], prompt: Prompt, max_tokens: int, *, reads: bool = False
    ) -> Request:
        llm, endpoint = self._llm, self._endpoint
        if self._is_open:
            endpoint, llm = _filled(endpoint, llm, values)
        body = body_of(llm, self._api, messages, max_tokens)
        request = self._build(endpoint.model_copy(update={"data": body}), reads)
        asked = prompt.tokens, max_tokens if OUTPUT_TOKENS in values else 0
        return replace(request, asked_tokens=asked) if any(asked) else request


def _filled(endpoint: EndpointConfig, llm: LlmConfig, values: Mapping[str, Any]) -> tuple[EndpointConfig, LlmConfig]:
    """Return both with their placeholders filled; a prompt is no template."""
    parts = {"path": fill_path(endpoint.path, values), "headers": fill(endpoint.headers, values)}
    own = {"body": fill(llm.body, values), "system": fill(llm.system, values)}
    return endpoint.model_copy(update=parts), llm.model_copy(update=own)


def _said(role: str, text: str) -> Mapping[str, str]:
    return {"role": role, "content": text}
