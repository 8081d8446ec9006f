"""`instrument_openai(client)`: calls of an OpenAI-compatible server, seen from the client."""

from __future__ import annotations

import functools
import inspect
import time
from typing import Any

from exporter.metrics.registry import DEFAULT

DURATION = DEFAULT.histogram(
    "gen_ai_client_operation_duration_seconds", "Duration of calls to the model.", ("gen_ai_request_model",)
)
TOKENS = DEFAULT.counter(
    "gen_ai_client_token_usage_total", "Tokens sent and received.", ("gen_ai_request_model", "gen_ai_token_type")
)


def instrument_openai(client: Any) -> None:
    """Measure an `openai.OpenAI` or `openai.AsyncOpenAI` client's chat completions."""
    completions = client.chat.completions
    original = completions.create

    def record(start: float, model: str, answer: Any) -> None:
        DURATION.labels(model).observe(time.perf_counter() - start)
        usage = getattr(answer, "usage", None)
        if usage is not None:
            TOKENS.labels(model, "input").inc(usage.prompt_tokens)
            TOKENS.labels(model, "output").inc(usage.completion_tokens)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def create(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            answer = await original(*args, **options)
            record(start, str(options.get("model")), answer)
            return answer

    else:

        @functools.wraps(original)
        def create(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            answer = original(*args, **options)
            record(start, str(options.get("model")), answer)
            return answer

    completions.create = create
