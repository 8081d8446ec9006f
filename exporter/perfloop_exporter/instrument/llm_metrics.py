"""The families of LLM calls, the same on the serving and on the asking side."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfloop_exporter.metrics.registry import MetricRegistry

_MODEL = ("gen_ai_request_model",)
# Bounds of https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, with the 5 s a threshold asks about.
_FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.0, 10.24, 20.48, 40.96, 81.92)


class LLMMetrics:
    """The families with one prefix: `gen_ai_server` or `gen_ai_client`."""

    def __init__(self, registry: MetricRegistry, side: str, duration: str) -> None:
        prefix = f"gen_ai_{side}"
        self.first_token = registry.histogram(
            f"{prefix}_time_to_first_token_seconds", "Time until the first token.", _MODEL, _FIRST_TOKEN
        )
        self.per_token = registry.histogram(
            f"{prefix}_time_per_output_token_seconds", "Time per output token after the first.", _MODEL, _PER_TOKEN
        )
        self.duration = registry.histogram(
            f"{prefix}_{duration}_duration_seconds", "Duration of the whole call.", _MODEL, _DURATION
        )
        self.errors = registry.counter(f"{prefix}_errors_total", "Calls that failed.", _MODEL)
        self.tokens = registry.counter(
            f"{prefix}_token_usage_total", "Tokens read and written.", (*_MODEL, "gen_ai_token_type")
        )


class LLMTiming:
    """One call under way; what is observed goes out when it is over, or token by token."""

    __slots__ = ("_first", "_last", "_metrics", "_model", "_over", "_start", "tokens")

    def __init__(self, metrics: LLMMetrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        self._start = perf_counter()
        self._first = 0.0
        self._last = 0.0
        self._over = False
        self.tokens = 0

    def note_token(self) -> None:
        """A token passes now."""
        self._last = perf_counter()
        self.tokens += 1
        if not self._first:
            self._first = self._last
            self._metrics.first_token.labels(self._model).observe(self._first - self._start)

    def end(self, *, input_tokens: int, output_tokens: int | None, failed: bool = False) -> None:
        """The call is over; a second end changes nothing."""
        if self._over:
            return
        self._over = True
        metrics, model = self._metrics, self._model
        metrics.duration.labels(model).observe(perf_counter() - self._start)
        written = self.tokens if output_tokens is None else output_tokens
        if self._first and written > 1:
            metrics.per_token.labels(model).observe((self._last - self._first) / (written - 1))
        metrics.tokens.labels(model, "input").inc(input_tokens)
        metrics.tokens.labels(model, "output").inc(written)
        errors = metrics.errors.labels(model)
        if failed:
            errors.inc()
