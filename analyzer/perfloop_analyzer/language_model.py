"""Optional words by any OpenAI-compatible API; without it, or when it fails, nothing is missing."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import orjson

from perfloop_analyzer.recommend.rewriting import accepted, prompt_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.recommend import Recommendation

log = logging.getLogger("analyzer.language_model")

MOST_A_CYCLE = 3


class LanguageModel:
    """Asks for a rewording of each recommendation, and keeps it while its numbers stand in the evidence."""

    def __init__(
        self, url: str, model: str, token: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/", headers=headers, timeout=20.0, transport=transport
        )
        self._model = model
        self._words: dict[str, str] = {}
        self.refused = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reword(self, recommendations: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return the recommendations with the words that passed, under `values.words`."""
        asked = 0
        for made in recommendations:
            held = self._words.get(made.id)
            if held and not accepted(held, made):
                held = None  # the evidence has moved on
                del self._words[made.id]
            if held is None and asked < MOST_A_CYCLE:
                asked += 1
                self._words[made.id] = await self._ask(made)
        return tuple(
            replace(made, values={**made.values, "words": words}) if (words := self._words.get(made.id)) else made
            for made in recommendations
        )

    async def _ask(self, made: Recommendation) -> str:
        """Return words that passed, else nothing."""
        body = {"model": self._model, "messages": prompt_for(made), "temperature": 0}
        try:
            response = await self._client.post("chat/completions", json=body)
            response.raise_for_status()
            text = str(orjson.loads(response.content)["choices"][0]["message"]["content"])
        except (httpx.HTTPError, orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
            log.warning("the language model gave no words for %s: %s", made.id, error)
            return ""
        if accepted(text, made):
            return text.strip()
        self.refused += 1
        log.warning("the language model's words for %s hold a number that the evidence does not: discarded", made.id)
        return ""
