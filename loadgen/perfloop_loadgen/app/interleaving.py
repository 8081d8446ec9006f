"""Two builds of a service, one test: runs in blocks of one against each, in random order inside a block.

What drifts while the runs are made (a machine that heats up, a neighbour that begins to work) then falls on both builds
alike, and what comes in waves of two runs does not fall on one of them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop_base.errors import ExitCode
from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.comparing import Options, compare_runs, report
from perfloop_loadgen.app.stopping import Stopping
from perfloop_loadgen.app.switching import BASE, NEW, Commands, Health, Switch
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.compare.obstacles import obstacles
from perfloop_loadgen.errors import SwitchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: blocks, the address of each side, and how the service is switched. The same seed, the same order."""

    urls: tuple[str, str]
    rounds: int = ROUNDS
    seed: int = 0
    commands: Commands = field(default_factory=lambda: Commands({}))
    health: Health = field(default_factory=Health)

    def order(self) -> list[tuple[str, str]]:
        """Return the blocks: which side is first, and which second."""
        chance = random.Random(self.seed)  # noqa: S311 - an order, not a secret
        return [(BASE, NEW) if chance.random() < 1 / 2 else (NEW, BASE) for _ in range(self.rounds)]

    def url(self, side: str) -> str:
        """Return the address of a side."""
        return self.urls[0] if side == BASE else self.urls[1]


async def ab(config: LoadTestConfig, plan: Plan, options: Options) -> ExitCode:
    """Run, compare, print the answer, and return the exit code; a signal ends it, with the service left as A.

    Raises:
        ConfigError: something in the configuration cannot be used.
        TargetError: the host of an address does not resolve.
        SwitchError: a side could not be applied; what was applied is reverted.
    """
    runs: dict[str, list[Document]] = {BASE: [], NEW: []}
    # Built for its problems, before anything is switched.
    LoadTester(config)
    switch = Switch(plan.commands, plan.health)
    with Stopping() as stopping:
        try:
            for number, side in enumerate(_sides(plan)):
                await stopping.unless_stopped(switch.to(side, plan.url(side)))
                if stopping.reason:
                    break
                document = await _run(config.of_round(number), plan.url(side), stopping)
                p95 = document.summary.p95_response_time_ms
                log.info(
                    "run %d of %d: %s %s: %s, p95 %.4g ms",
                    *(number + 1, 2 * plan.rounds, side, redact_url(plan.url(side)), document.summary.verdict, p95),
                )
                runs[side].append(document)
        finally:
            problem = await _reverted(switch, plan)
    if problem:
        raise SwitchError(problem)
    if stopping.reason:
        log.error(
            "%s after %d of %d runs: nothing is compared",
            stopping.reason,
            len(runs[BASE]) + len(runs[NEW]),
            2 * plan.rounds,
        )
        return ExitCode.STOPPED
    return _conclude(runs, plan, options)


def _sides(plan: Plan) -> Iterator[str]:
    for block in plan.order():
        yield from block


async def _run(config: LoadTestConfig, url: str, stopping: Stopping) -> Document:
    tester = LoadTester(config.model_copy(update={"base_url": url}))
    with stopping.by(tester.stop):
        summary = await tester.measure()
    return tester.document(summary)


async def _reverted(switch: Switch, plan: Plan) -> str:
    """Revert, whatever has happened; a failure is said here too, since another one may be on its way."""
    problem = await asyncio.shield(switch.revert(plan.url(BASE)))
    if problem:
        log.error("%s", problem)
    return problem


def _conclude(runs: dict[str, list[Document]], plan: Plan, options: Options) -> ExitCode:
    reasons = obstacles(runs[BASE], runs[NEW])
    for reason in reasons:
        log.error("invalid: %s", reason)
    if reasons and not options.force:
        return ExitCode.INVALID
    order = " ".join("".join(block) for block in plan.order())
    sides = " and ".join(f"{side} = {redact_url(plan.url(side))}" for side in (BASE, NEW))
    return report(
        compare_runs(runs[BASE], runs[NEW], options, [f"base and new: {sides}; order of the runs: {order}"]),
        options.reports,
    )
