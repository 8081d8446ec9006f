"""LLM calls: the metric families of server and client, the timing of one call, and the block for the serving side."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Self

from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.traces import observe
from perfloop_exporter.metrics.registry import DEFAULT

if TYPE_CHECKING:
    from types import TracebackType

    from perfloop_exporter.metrics.registry import MetricRegistry

_MODEL = ("gen_ai_request_model",)
# A prompt of one sentence to the longest that models take: each bucket twice as long as the one before.
_LENGTHS = tuple(float(2**power) for power in range(3, 18))


class LLMMetrics:
    """The families with the prefix `gen_ai_server` or `gen_ai_client`."""

    def __init__(self, registry: MetricRegistry, side: str, duration: str) -> None:
        prefix = f"gen_ai_{side}"
        self.first_token = registry.histogram(
            f"{prefix}_time_to_first_token_seconds", "Time until the first token.", _MODEL
        )
        self.per_token = registry.histogram(
            f"{prefix}_time_per_output_token_seconds", "Time per output token after the first.", _MODEL
        )
        self.duration = registry.histogram(
            f"{prefix}_{duration}_duration_seconds", "Duration of the whole call.", _MODEL
        )
        self.errors = registry.counter(f"{prefix}_errors_total", "Calls that failed.", _MODEL)
        self.tokens = registry.counter(
            f"{prefix}_token_usage_total", "Tokens read and written.", (*_MODEL, "gen_ai_token_type")
        )
        self.lengths = registry.histogram(
            f"{prefix}_tokens_per_call",
            "Tokens that one call read and wrote.",
            (*_MODEL, "gen_ai_token_type"),
            _LENGTHS,
        )


class LLMTiming:
    """The timing of one call; times are recorded at the first token and at the end."""

    __slots__ = ("_ended", "_first", "_last", "_metrics", "_model", "_start", "tokens")

    def __init__(self, metrics: LLMMetrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        self._start = perf_counter()
        self._first = 0.0
        self._last = 0.0
        self._ended = False
        self.tokens = 0

    def note_token(self) -> None:
        """Note that a token was produced or received now."""
        self._last = perf_counter()
        self.tokens += 1
        if not self._first:
            self._first = self._last
            observe(self._metrics.first_token.labels(self._model), self._first - self._start)

    def end(
        self, *, input_tokens: int, output_tokens: int | None, hidden_tokens: int = 0, failed: bool = False
    ) -> None:
        """Record the call; a second end changes nothing.

        Args:
            input_tokens: Tokens of the prompt.
            output_tokens: Tokens of the response; None for the number of noted tokens.
            hidden_tokens: How many of them were not sent: those of reasoning that the server keeps to itself.
            failed: Whether the call counts as an error.
        """
        if self._ended:
            return
        self._ended = True
        metrics, model = self._metrics, self._model
        observe(metrics.duration.labels(model), perf_counter() - self._start)
        written = self.tokens if output_tokens is None else output_tokens
        errors = metrics.errors.labels(model)
        if failed:
            errors.inc()
        metrics.tokens.labels(model, "input").inc(input_tokens)
        metrics.tokens.labels(model, "output").inc(written)
        for kind, count in (("input", input_tokens), ("output", written)):
            if count >= 0:  # a server's own number may be anything, and the sum of lengths never falls
                metrics.lengths.labels(model, kind).observe(count)
        # n tokens have n - 1 gaps between them. Last, since a server's own number of tokens may be no number at all.
        sent = written - hidden_tokens
        if self._first and sent > 1:
            metrics.per_token.labels(model).observe((self._last - self._first) / (sent - 1))


SERVER_METRICS = LLMMetrics(DEFAULT, "server", "request")


class LLMServerCall:
    """One served call: `.token()` at each token, `.finish(...)` at the end; leaving a `with` block finishes it, too."""

    __slots__ = ("_timing",)

    def __init__(self, model: str) -> None:
        self._timing = LLMTiming(SERVER_METRICS, model)

    @never_raising
    def token(self) -> None:
        """Note that a token was produced now."""
        self._timing.note_token()

    @never_raising
    def finish(self, *, input_tokens: int = 0, output_tokens: int | None = None) -> None:
        """Record the call; without `output_tokens` the calls of `token` are counted."""
        self._timing.end(input_tokens=input_tokens, output_tokens=output_tokens)

    @never_raising
    def fail(self) -> None:
        """Record the call as failed."""
        self._timing.end(input_tokens=0, output_tokens=None, failed=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.fail()


def llm_server_call(model: str) -> LLMServerCall:
    """Start to measure one served call of `model`."""
    return LLMServerCall(model)
