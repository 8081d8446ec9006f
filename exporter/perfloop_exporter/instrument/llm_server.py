"""The serving side of an LLM call: time to first token, time per output token, duration, tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.llm_metrics import LLMMetrics, LLMTiming
from perfloop_exporter.metrics.registry import DEFAULT

if TYPE_CHECKING:
    from types import TracebackType

METRICS = LLMMetrics(DEFAULT, "server", "request")


class LLMServerCall:
    """One call under way: `.token()` at each token, `.finish(...)` at the end; `with` finishes it in any case."""

    __slots__ = ("_timing",)

    def __init__(self, model: str) -> None:
        self._timing = LLMTiming(METRICS, model)

    @never_raising
    def token(self) -> None:
        """A token goes out now."""
        self._timing.note_token()

    @never_raising
    def finish(self, *, input_tokens: int = 0, output_tokens: int | None = None) -> None:
        """The call is over; without `output_tokens` the calls of `token` count."""
        self._timing.end(input_tokens=input_tokens, output_tokens=output_tokens)

    @never_raising
    def fail(self) -> None:
        """The call ends without its answer."""
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
    """Begin to measure one served call of `model`."""
    return LLMServerCall(model)
