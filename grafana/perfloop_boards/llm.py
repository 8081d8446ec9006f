"""The LLM board: token latency and throughput, queues, and whether the GPU is the limit; vLLM's series or our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.model import engine, gpu, lengths, speed
from perfloop_boards.model.selection import NAME, REQUESTS

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits


def build(limits: Limits) -> Board:
    """The LLM board of a configuration."""
    whole_times = speed.whole_times(limits)
    return Board(
        uid="llm",
        title="LLM",
        question="How fast are tokens generated, do requests queue, and is the GPU the limit?",
        related=("service", "system"),
        signals={"model_inference_time_p95": whole_times},
        variables=(
            choice("service", "Service", REQUESTS),
            choice("model", "Model", f'{REQUESTS}{{service=~"$service"}}', label_name=NAME),
        ),
        rows=(
            speed.figures(limits),
            Row(8, evenly(speed.first_token_times(limits), speed.per_token_times(limits), whole_times)),
            speed.work(),
            speed.by_model(limits),
            lengths.row(),
            engine.row(limits),
            gpu.row(limits),
        ),
    )
