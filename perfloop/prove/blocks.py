"""Runs the blocks of a proof and measures each: the client's figures from its run, every signal from Prometheus."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.prove.sides import WITH, WITHOUT
from perfloop_analyzer.findings import series_of
from perfloop_analyzer.ports import Query
from perfloop_analyzer.series import Grid, service_of
from perfloop_loadgen.app.tester import LoadTester

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop.prove.plan import Plan
    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.ports import Source
    from perfloop_analyzer.series import Batch

WINDOW = "$window"
SUBSTEP = "5s"
MACHINE = "host"


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of load on one side.

    Attributes:
        start, end: What is measured, in Unix seconds: after the settling.
        requests: How many of each endpoint ended, by its name, the settling included.
        seconds: For how long they were sent.
        p95_seconds, errors: Of each endpoint, by its name.
        verdict: The load generator's own.
    """

    pair: int
    side: str
    start: float
    end: float
    requests: Mapping[str, int]
    seconds: float
    p95_seconds: Mapping[str, float]
    errors: Mapping[str, float]
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the blocks are, in seconds; each has `settle` before what is measured."""

    pairs: int
    block: float
    settle: float

    @property
    def total(self) -> float:
        """How long all blocks last."""
        return 2 * self.pairs * (self.block + self.settle)


def order_of(pairs: int, seed: int) -> list[tuple[int, str]]:
    """Return pair and side of each block: both sides of every pair, which comes first is drawn."""
    draw = random.Random(seed)  # noqa: S311 - an order, no secret
    order = []
    for pair in range(pairs):
        sides = [WITHOUT, WITH]
        draw.shuffle(sides)
        order += [(pair, side) for side in sides]
    return order


async def run_block(plan: Plan, url: str, pair: int, side: str, timing: Timing) -> Block:
    """Send the load to the address of one side and return what the client saw.

    Raises:
        TargetError: The host of the address does not resolve.
    """
    test = plan.of_pair(pair, timing.settle + timing.block)
    tester = LoadTester(test.model_copy(update={"base_url": url}))
    summary = await tester.measure()
    end = tester.started_at + timing.settle + timing.block
    rows = summary.endpoints
    return Block(
        pair=pair,
        side=side,
        start=end - timing.block,
        end=end,
        requests={row.label: row.total_requests for row in rows},
        seconds=timing.settle + timing.block,
        p95_seconds={row.label: _number(row.response.quantiles_seconds.get("p95")) for row in rows},
        errors={row.label: row.failed_requests / max(1, row.total_requests) for row in rows},
        verdict=str(summary.verdict),
        reasons=tuple(summary.reasons),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


async def measure_signals(
    source: Source, catalog: Sequence[Signal], service: str, blocks: Sequence[Block]
) -> dict[tuple[str, str], list[float]]:
    """Return the value of every signal of the service and its machine in each block, by signal and series."""
    values: dict[tuple[str, str], list[float]] = {}
    for place, block in enumerate(blocks):
        window = f"{max(1, round(block.end - block.start))}s"
        queries = [Query(one.name, _over_block(one, window)) for one in catalog]
        answers = await source.query(queries, Grid(block.end, 1.0, 1))
        for signal in catalog:
            for key, value in _read(answers.batches.get(signal.name), signal, service):
                values.setdefault(key, [math.nan] * len(blocks))[place] = value
    return values


def _over_block(signal: Signal, window: str) -> str:
    """Return a signal's query over a whole block; one without a window is the mean over it."""
    if WINDOW in signal.expr:
        return signal.query(window)
    return f"avg_over_time(({signal.expr})[{window}:{SUBSTEP}])"


def _read(batch: Batch | None, signal: Signal, service: str) -> Iterator[tuple[tuple[str, str], float]]:
    if batch is None:
        return
    for labels, row in zip(batch.labels, batch.values, strict=True):
        if service_of(labels, signal.service) in (service, MACHINE) and math.isfinite(row[-1]):
            yield (signal.name, series_of(labels)), float(row[-1])
