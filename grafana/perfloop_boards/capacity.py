"""The capacity board: how much more load is carried, how much will come, and what it costs.

Its rows are in `planning/`, one file for each part, which adds what its `build_rows` returns here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Board, choice
from perfloop_boards.planning import cost, forecast, headroom, replicas, waste

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits


def build(limits: Limits) -> Board:
    """The capacity board of a configuration."""
    return Board(
        uid="capacity",
        title="Capacity and cost",
        question="How much more load does each service carry, how much will come, and what does it cost?",
        related=("service", "load-test", "recommendations"),
        variables=(choice("service", "Service", "perfloop_health_score"),),
        since="now-6h",
        rows=(
            *headroom.build_rows(limits),
            *forecast.build_rows(limits),
            *replicas.build_rows(),
            *cost.build_rows(),
            *waste.build_rows(),
        ),
    )
