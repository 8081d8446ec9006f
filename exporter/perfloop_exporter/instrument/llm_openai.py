"""`instrument_openai(client)`: calls of an OpenAI-compatible server, measured by the client, including streams.

Every method of the client, and of its `with_raw_response` and `with_streaming_response`, ends in `client.request`,
which is measured. What it returns may be a finished response, a stream of chunks, or a response whose body is still to
be read: the call ends when that has been read, is closed, or fails.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.llm import LLMMetrics, LLMTiming
from perfloop_exporter.instrument.llm_body import BodyReader
from perfloop_exporter.instrument.llm_pieces import (
    Usage,
    generated_pieces,
    has_reasoning,
    is_failure,
    is_unfinished,
    read_usage,
)
from perfloop_exporter.instrument.wrapping import measure_method
from perfloop_exporter.metrics.registry import DEFAULT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

METRICS = LLMMetrics(DEFAULT, "client", "operation")

# Calls of a model; files, models, batches and the like are not.
_CALLS = (
    *("/chat/completions", "/completions", "/responses", "/embeddings", "/moderations"),
    *("/audio/speech", "/audio/transcriptions", "/audio/translations"),
    *("/images/generations", "/images/edits", "/images/variations"),
)


def instrument_openai(client: Any) -> None:
    """Measure the calls of an `openai.OpenAI` or `openai.AsyncOpenAI`, and of its copies by `with_options`.

    Not measured are websockets (`client.realtime`) and responses in the background, which end elsewhere.
    """
    measure_method(client, "request", _begin)
    for name in ("copy", "with_options"):
        measure_method(client, name, lambda *_args, **_options: _Copy())


def _begin(_cast_to: Any, options: Any, *_args: Any, **_options: Any) -> _Call | None:
    path = str(options.url).partition("?")[0].rstrip("/")
    if options.method.lower() != "post" or not path.endswith(_CALLS):
        return None
    body = options.json_data
    return _Call(str(body.get("model") or "unknown") if isinstance(body, dict) else "unknown")


class _Copy:
    """The call of `with_options`."""

    def finished(self, answer: Any) -> None:
        """Measure the copy, too."""
        instrument_openai(answer)

    @never_raising
    def failed(self, _error: BaseException) -> None:
        """Do nothing: there is no copy."""


class _Call:
    """One call."""

    def __init__(self, model: str) -> None:
        self._timing = LLMTiming(METRICS, model)
        self._usage = Usage(0, None, 0)
        self._reasoned = False
        self._failed = False
        self._pulling = False

    def finished(self, answer: Any) -> None:
        """Record the response, or start to watch how it is read."""
        chunks = getattr(answer, "_iterator", None)
        response: Any = getattr(answer, "http_response", None) or getattr(answer, "response", None)
        if chunks is not None:
            answer._iterator = self._watch(chunks, self.note)  # noqa: SLF001 - every way to read the stream uses it
            self._end_when_closed(response)
        elif hasattr(response, "is_closed") and not response.is_closed:
            self._watch_body(response)
        else:
            whole = _read_json(response) if hasattr(response, "content") else answer
            if not is_unfinished(whole):
                self.note_whole(whole)
                self.end()

    def failed(self, _error: BaseException) -> None:
        """Record the failed call."""
        self.end(failed=True)

    def _watch_body(self, response: Any) -> None:
        reader = BodyReader(response.headers.get("content-type", ""), self.note, self.note_whole)
        for name in ("iter_bytes", "aiter_bytes"):  # every other way to read a body uses one of these
            original = getattr(response, name)
            setattr(response, name, self._watching(original, reader))
        self._end_when_closed(response)

    def _watching(self, read: Callable[..., Any], reader: BodyReader) -> Callable[..., Any]:
        return lambda *args, **options: self._watch(read(*args, **options), reader.feed, reader.end)

    def _end_when_closed(self, response: Any) -> None:
        # A caller that leaves early closes the response; the iterator would only end when it is garbage-collected.
        for name in ("close", "aclose"):
            measure_method(response, name, lambda *_args, **_options: _Closing(self))

    def _watch(self, parts: Any, note: Callable[[Any], None], end: Callable[[], None] | None = None) -> Any:
        if hasattr(parts, "__anext__"):
            return self._watch_async(parts, note, end)
        return self._watch_sync(parts, note, end)

    def _watch_sync(
        self, parts: Iterator[Any], note: Callable[[Any], None], end: Callable[[], None] | None
    ) -> Generator[Any]:
        with self._recording(end), contextlib.closing(parts):  # type: ignore[type-var]  # both kinds are generators
            while True:
                with self._pull():
                    part = next(parts, _END)
                if part is _END:
                    return
                note(part)
                yield part

    async def _watch_async(
        self, parts: AsyncIterator[Any], note: Callable[[Any], None], end: Callable[[], None] | None
    ) -> AsyncGenerator[Any]:
        with self._recording(end):
            async with contextlib.aclosing(parts):  # type: ignore[type-var]  # both kinds are generators
                while True:
                    with self._pull():
                        part = await anext(parts, _END)
                    if part is _END:
                        return
                    note(part)
                    yield part

    @contextlib.contextmanager
    def _pull(self) -> Iterator[None]:
        """Mark that the next part is being read: what closes the response meanwhile is the reading itself."""
        self._pulling = True
        try:
            yield
        finally:
            self._pulling = False

    @contextlib.contextmanager
    def _recording(self, end: Callable[[], None] | None) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:  # the caller stopped reading
            self.end()
            raise
        except BaseException:
            self.end(failed=True)
            raise
        if end is not None:
            end()
        self.end()

    @never_raising
    def note(self, chunk: Any) -> None:
        """Note what a chunk or an event of a stream says."""
        self.note_whole(chunk)
        pieces = generated_pieces(chunk)
        if pieces:
            self._timing.note_token()
            self._reasoned = self._reasoned or has_reasoning(chunk, pieces)

    @never_raising
    def note_whole(self, answer: Any) -> None:
        """Note what a whole response says: its tokens came together, at an unknown time before its end."""
        self._usage = read_usage(answer) or self._usage
        self._failed = self._failed or is_failure(answer)

    def closed(self) -> None:
        """Record the call when the caller has closed its response, read to the end or not."""
        if not self._pulling:
            self.end()

    @never_raising
    def end(self, *, failed: bool = False) -> None:
        """Record the call; a second end changes nothing."""
        failed = failed or self._failed
        usage = self._usage
        self._timing.end(
            input_tokens=usage.input_tokens,
            output_tokens=0 if failed and usage.output_tokens is None else usage.output_tokens,
            hidden_tokens=0 if self._reasoned else usage.reasoning_tokens,
            failed=failed,
        )


_END = object()


def _read_json(response: Any) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:  # speech, or a transcript
        return None


class _Closing:
    """The call of a response's `close`."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    def finished(self, _answer: Any) -> None:
        """Record the call."""
        self._call.closed()

    def failed(self, _error: BaseException) -> None:
        """Record the call: a response that fails to close is not read any further."""
        self._call.closed()
