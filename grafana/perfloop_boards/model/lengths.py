"""How long prompts and responses are: what makes a call slow before anything is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Row, evenly
from perfloop_boards.model.selection import NAME, NO_CALLS, OF_MODEL, OF_SERVICE, bucket_rates, total
from perfloop_boards.panels import About, heat, lines
from perfloop_boards.queries import Query, equal, known

if TYPE_CHECKING:
    from perfloop_boards.panels import AnyPanel

LENGTHS = ("gen_ai_server_tokens_per_call",)
NO_LENGTHS = "No call of a model that is measured by Perfloop's instrumentation in this time range."


def row() -> Row:
    """Prompts and responses, and their mean by model."""
    return Row(7, evenly(_prompts(), _responses(), _means()), title="Lengths")


def _prompts() -> AnyPanel:
    return heat(
        About(
            "Prompt length",
            "Tokens of each prompt. Good: a band that stays where it is. A band that rises: the first token takes "
            "longer, and the cache holds fewer requests.",
            "none",
            NO_LENGTHS,
            links=OF_SERVICE,
        ),
        Query(bucket_rates(LENGTHS, equal("gen_ai_token_type", "input")), "{{le}}"),
    )


def _responses() -> AnyPanel:
    return heat(
        About(
            "Response length",
            "Tokens of each response. Good: a band that stays where it is. A line at one length: responses are cut off "
            "there.",
            "none",
            NO_LENGTHS,
            links=OF_SERVICE,
        ),
        Query(bucket_rates(LENGTHS, equal("gen_ai_token_type", "output")), "{{le}}"),
    )


def _means() -> AnyPanel:
    counts = total(
        ("gen_ai_server_request_duration_seconds", "vllm:e2e_request_latency_seconds"), suffix="_count", by=NAME
    )
    own = "gen_ai_server_token_usage_total"
    return lines(
        About(
            "Mean tokens of a call by model",
            "Read (prompt) and written (response). A rise explains longer calls without any fault of the engine.",
            "none",
            NO_CALLS,
            links=OF_MODEL,
        ),
        [
            Query(
                known(
                    f"(({total((own,), equal('gen_ai_token_type', kind), by=NAME)}) or {total((engine,), by=NAME)})"
                    f" / on ({NAME}) ({counts})"
                ),
                f"{name} · {{{{{NAME}}}}}",
            )
            for kind, engine, name in (
                ("input", "vllm:prompt_tokens_total", "read"),
                ("output", "vllm:generation_tokens_total", "written"),
            )
        ],
    )
