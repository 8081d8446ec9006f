"""`instrument_openai(client)`: calls of an OpenAI-compatible server, measured by the client, including streams."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.llm import LLMMetrics, LLMTiming
from perfloop_exporter.instrument.wrapping import measure_method
from perfloop_exporter.metrics.registry import DEFAULT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

METRICS = LLMMetrics(DEFAULT, "client", "operation")


def instrument_openai(client: Any) -> None:
    """Measure the chat completions, text completions and embeddings of an `openai.OpenAI` or `openai.AsyncOpenAI`."""
    for owner in (client.chat.completions, client.completions, client.embeddings):
        measure_method(owner, "create", _Completion)


class _Completion:
    """One call; a streamed one ends when the stream is exhausted, closed or fails."""

    def __init__(self, *_args: Any, model: Any = "unknown", **_options: Any) -> None:
        self._timing = LLMTiming(METRICS, str(model))
        self._input = 0
        self._output: int | None = None

    def finished(self, answer: Any) -> None:
        """Record the response, or start to watch its stream."""
        inner = getattr(answer, "_iterator", None)
        if inner is None:
            self._read_usage(answer)
            self.end()
            return
        # A caller that leaves early closes the stream; the iterator would only end when it is garbage-collected.
        measure_method(answer, "close", lambda: _Closing(self))
        if hasattr(inner, "__anext__"):
            answer._iterator = self._watch_async(inner)  # noqa: SLF001 - every way to read the stream uses it
        else:
            answer._iterator = self._watch(inner)  # noqa: SLF001 - every way to read the stream uses it

    def failed(self, _error: BaseException) -> None:
        """Record the failed call."""
        self.end(failed=True)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:  # the caller stopped reading
            self.end()
            raise
        except BaseException:
            self.end(failed=True)
            raise
        self.end()

    def _watch(self, chunks: Iterator[Any]) -> Iterator[Any]:
        with self._recording():
            for chunk in chunks:
                self._note(chunk)
                yield chunk

    async def _watch_async(self, chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        with self._recording():
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
        """Record the call; a second end changes nothing."""
        output = 0 if failed and self._output is None else self._output
        self._timing.end(input_tokens=self._input, output_tokens=output, failed=failed)


class _Closing:
    """The call of a stream's `close`."""

    def __init__(self, completion: _Completion) -> None:
        self._completion = completion

    def finished(self, _answer: Any) -> None:
        """Record the call, whether or not the stream was read to its end."""
        self._completion.end()

    def failed(self, _error: BaseException) -> None:
        """Record the call: a stream that fails to close is not read any further."""
        self._completion.end()
