"""The serving side of an LLM call: time to first token, time per output token, duration, tokens."""

from __future__ import annotations

import time

from exporter.metrics.registry import DEFAULT

_MODEL = ("gen_ai_request_model",)
# Bounds of OpenTelemetry's generative AI conventions.
FIRST_TOKEN = DEFAULT.histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "Time until the first token of the response.",
    _MODEL,
    (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
PER_TOKEN = DEFAULT.histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Time per output token after the first.",
    _MODEL,
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
)
DURATION = DEFAULT.histogram(
    "gen_ai_server_request_duration_seconds",
    "Duration of the whole call.",
    _MODEL,
    (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.0, 10.24, 20.48, 40.96, 81.92),
)
TOKENS = DEFAULT.counter("gen_ai_server_token_usage_total", "Tokens read and written.", (*_MODEL, "gen_ai_token_type"))


class LLMServerCall:
    """One call under way: `.token()` at each token, `.finish(...)` at the end."""

    __slots__ = ("_first", "_last", "_model", "_start", "_tokens")

    def __init__(self, model: str) -> None:
        self._model = model
        self._start = time.perf_counter()
        self._first: float | None = None
        self._last = self._start
        self._tokens = 0

    def token(self) -> None:
        """A token goes out now."""
        now = self._last = time.perf_counter()
        self._tokens += 1
        if self._first is None:
            self._first = now
            FIRST_TOKEN.labels(self._model).observe(now - self._start)

    def finish(self, *, input_tokens: int = 0, output_tokens: int | None = None) -> None:
        """The call is over; without `output_tokens` the calls of `token` count."""
        written = self._tokens if output_tokens is None else output_tokens
        DURATION.labels(self._model).observe(time.perf_counter() - self._start)
        if self._first is not None and written > 1:
            PER_TOKEN.labels(self._model).observe((self._last - self._first) / (written - 1))
        TOKENS.labels(self._model, "input").inc(input_tokens)
        TOKENS.labels(self._model, "output").inc(written)


def llm_server_call(model: str) -> LLMServerCall:
    """Begin to measure one served call of `model`."""
    return LLMServerCall(model)
