"""`instrument_openai(client)`: calls of an OpenAI-compatible server as the client feels them, streams included."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.llm_metrics import LLMMetrics, LLMTiming
from perfloop_exporter.instrument.wrapping import measure_method
from perfloop_exporter.metrics.registry import DEFAULT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

METRICS = LLMMetrics(DEFAULT, "client", "operation")


def instrument_openai(client: Any) -> None:
    """Measure an `openai.OpenAI` or `openai.AsyncOpenAI`: chat and text completions, and embeddings."""
    for owner in (client.chat.completions, client.completions, client.embeddings):
        measure_method(owner, "create", _Completion)


class _Completion:
    """One call under way; a stream is over when it is exhausted, closed or broken."""

    def __init__(self, *_args: Any, model: Any = "unknown", **_options: Any) -> None:
        self._timing = LLMTiming(METRICS, str(model))
        self._input = 0
        self._output: int | None = None

    def finished(self, answer: Any) -> None:
        """The answer is there, or its stream begins."""
        inner = getattr(answer, "_iterator", None)
        if inner is None:
            self._read_usage(answer)
            self.end()
            return
        # Who leaves early closes the stream: its iterator would only end with the garbage.
        measure_method(answer, "close", lambda: _Closing(self))
        if hasattr(inner, "__anext__"):
            answer._iterator = self._watch_async(inner)  # noqa: SLF001 - both ways of reading it go through this one
        else:
            answer._iterator = self._watch(inner)  # noqa: SLF001 - both ways of reading it go through this one

    def failed(self, _error: BaseException) -> None:
        """No answer came."""
        self.end(failed=True)

    @contextlib.contextmanager
    def _until_over(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:  # the caller has read enough
            self.end()
            raise
        except BaseException:
            self.end(failed=True)
            raise
        self.end()

    def _watch(self, chunks: Iterator[Any]) -> Iterator[Any]:
        with self._until_over():
            for chunk in chunks:
                self._note(chunk)
                yield chunk

    async def _watch_async(self, chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        with self._until_over():
            async for chunk in chunks:
                self._note(chunk)
                yield chunk

    @never_raising
    def _note(self, chunk: Any) -> None:
        self._read_usage(chunk)
        for choice in getattr(chunk, "choices", ()):
            delta = getattr(choice, "delta", None)
            if getattr(delta, "content", None) or getattr(delta, "tool_calls", None) or getattr(choice, "text", None):
                self._timing.note_token()

    def _read_usage(self, answer: Any) -> None:
        usage = getattr(answer, "usage", None)
        if usage is not None:
            self._input = getattr(usage, "prompt_tokens", 0) or 0
            self._output = getattr(usage, "completion_tokens", None)

    @never_raising
    def end(self, *, failed: bool = False) -> None:
        """The call is over; a second end changes nothing."""
        output = 0 if failed and self._output is None else self._output
        self._timing.end(input_tokens=self._input, output_tokens=output, failed=failed)


class _Closing:
    """The closing of a stream."""

    def __init__(self, completion: _Completion) -> None:
        self._completion = completion

    def finished(self, _answer: Any) -> None:
        """It is closed, read to its end or not."""
        self._completion.end()

    def failed(self, _error: BaseException) -> None:
        """It is as good as closed."""
        self._completion.end()
