"""Optional rewording by any OpenAI-compatible API; without it, or when it fails, the rules' own texts are shown."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import orjson

from perfloop_analyzer.errors import BadAnswer, SourceError
from perfloop_analyzer.recommend.rewriting import is_supported, prompt_for
from perfloop_analyzer.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.recommend import Recommendation

log = logging.getLogger("analyzer.language_model")

REQUESTS_PER_CYCLE = 3
TIMEOUT_SECONDS = 20.0
MOST_BYTES = 1_000_000


class LanguageModel:
    """Requests a rewording of each recommendation, and keeps it while the evidence contains its numbers.

    Attributes:
        rejected: How many texts contained a number that the evidence does not.
    """

    def __init__(
        self, url: str, model: str, token: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._api = Transport(url, TIMEOUT_SECONDS, MOST_BYTES, headers=headers, transport=transport)
        self._model = model
        self._texts: dict[str, str] = {}
        self.rejected = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def rewrite(self, recommendations: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return the recommendations with the accepted texts under `values.words`."""
        requested = 0
        for recommendation in recommendations:
            held = self._texts.get(recommendation.id)
            if held and not is_supported(held, recommendation):
                held = None  # the evidence has changed
                del self._texts[recommendation.id]
            if held is None and requested < REQUESTS_PER_CYCLE:
                requested += 1
                self._texts[recommendation.id] = await self._request(recommendation)
        return tuple(self._with_text(recommendation) for recommendation in recommendations)

    def _with_text(self, recommendation: Recommendation) -> Recommendation:
        text = self._texts.get(recommendation.id)
        return replace(recommendation, values={**recommendation.values, "words": text}) if text else recommendation

    async def _request(self, recommendation: Recommendation) -> str:
        """Return an accepted text, else an empty one."""
        body = {"model": self._model, "messages": prompt_for(recommendation), "temperature": 0}
        try:
            answer = await self._api.request("POST", "chat/completions", json=body)
            if answer.status != httpx.codes.OK:
                raise BadAnswer(f"HTTP {answer.status}")
            text = str(orjson.loads(answer.content)["choices"][0]["message"]["content"])
        except (SourceError, orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
            log.warning("the language model returned no text for %s: %s", recommendation.id, error)
            return ""
        if is_supported(text, recommendation):
            return text.strip()
        self.rejected += 1
        log.warning("text of the language model rejected for %s: it has a number without evidence", recommendation.id)
        return ""
