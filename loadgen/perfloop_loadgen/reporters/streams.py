"""Streamed answers of language models, as reports show them: times with their formulas, and sentences on tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.samples.streams import FORMULAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_loadgen.summary import StreamSummary, Times


def stream_times(streams: StreamSummary) -> Iterator[tuple[str, Times, str]]:
    """Yield each time that was measured: its name, the distribution, and its formula.

    The first tokens of reasoning and of the answer have rows of their own where there was reasoning only: else the
    first token is that of the answer.
    """
    yield "time to first token", streams.first_token, FORMULAS["time_to_first_token"]
    if streams.first_reasoning is not None and streams.first_reasoning.count:
        yield "first reasoning token", streams.first_reasoning, FORMULAS["time_to_first_reasoning_token"]
        if streams.first_answer is not None:
            yield "first answer token", streams.first_answer, FORMULAS["time_to_first_answer_token"]
    yield "gap", streams.gap, FORMULAS["gap"]
    yield "longest stall", streams.stall, FORMULAS["longest_stall"]
    yield "time per output token", streams.per_token, FORMULAS["time_per_output_token"]


def stream_sentences(streams: StreamSummary, duration_seconds: float) -> Iterator[str]:
    """Yield what is to be said about tokens and answers."""
    if duration_seconds:
        yield f"{streams.output_tokens / duration_seconds:.1f} tokens/s = {FORMULAS['tokens_per_second']}"
        yield f"goodput {streams.good / duration_seconds:.2f}/s = {FORMULAS['goodput']}"
    if streams.counted_by_usage < streams.answers:
        counted = streams.answers - streams.counted_by_usage
        yield f"{counted} of {streams.answers} answers reported no usage: each event was counted as one token"
    if streams.reasoning_events:
        yield f"{streams.reasoning_events} of {streams.events} events were reasoning"
    if streams.reasoning_tokens:
        yield f"{streams.reasoning_tokens} of {streams.output_tokens} output tokens were reasoning, the server says"
    if streams.asked_answers:
        asked = streams.asked_input_tokens / streams.asked_answers
        read = streams.counted_input_tokens / streams.asked_answers
        yield (
            f"prompts: {asked:.1f} tokens asked for on average, taken as words by tokens_per_word; the server counted "
            f"{read:.1f}, its template included ({read / asked:.2f} of what was asked for)"
        )
    if streams.asked_output_answers:
        asked = streams.asked_output_tokens / streams.asked_output_answers
        written = streams.counted_output_tokens / streams.asked_output_answers
        yield (
            f"answers: {asked:.1f} tokens in the trace on average, {written:.1f} from the server "
            f"({written / asked:.2f} of them; ignore_eos: true makes both alike where a server knows it)"
        )
    if streams.cached_tokens and streams.input_tokens:
        share = streams.cached_tokens / streams.input_tokens
        yield f"{streams.cached_tokens} of {streams.input_tokens} input tokens ({share:.1%}) were in the server's cache"
