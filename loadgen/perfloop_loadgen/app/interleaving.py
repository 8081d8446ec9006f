"""Two builds of a service, one test: runs in blocks of one against each, in random order inside a block.

What drifts while the runs are made (a machine that heats up, a neighbour that begins to work) then falls on both builds
alike, and what comes in waves of two runs does not fall on one of them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from perfloop_base.errors import ExitCode
from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.comparing import Options, compare_runs, report, without_invalid
from perfloop_loadgen.app.memory import Keeping, Memory
from perfloop_loadgen.app.stopping import Stopping
from perfloop_loadgen.app.switching import BASE, NEW, Commands, Health, Switch
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.compare.obstacles import obstacles
from perfloop_loadgen.errors import SwitchError
from perfloop_loadgen.summary.document import State
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

# As few as can be compared inside of their blocks.
ROUNDS = 8


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


async def ab(config: LoadTestConfig, plan: Plan, options: Options, memory: Memory | None = None) -> ExitCode:
    """Run, compare, print the answer, and return the exit code; a signal ends it, with the service left as A.

    Args:
        config: the test.
        plan: what is run in which order.
        options: how the runs are compared.
        memory: what keeps the runs, each with its side as the label `side`; None: nothing does.

    Raises:
        ConfigError: something in the configuration cannot be used.
        TargetError: the host of an address does not resolve.
        SwitchError: a side could not be applied; what was applied is reverted.
    """
    # Built for its problems, before anything is switched.
    LoadTester(config)
    memory = memory or Memory(Keeping())
    await memory.make_ready()
    with Stopping() as stopping:
        turns = _Turns(config, plan, stopping, Switch(plan.commands, plan.health), memory)
        try:
            for side in (side for block in plan.order() for side in block):
                await turns.take(side)
        finally:
            problem = await _reverted(turns.switch, plan)
    if problem:
        raise SwitchError(problem)
    if stopping.reason:
        log.error("%s after %d of %d runs: nothing is compared", stopping.reason, len(turns.made), 2 * plan.rounds)
        return ExitCode.STOPPED
    return _conclude(turns, plan, options)


@dataclass(slots=True)
class _Turns:
    """The runs that were made, by side; an invalid one is made again at once, up to as many as there are rounds."""

    config: LoadTestConfig
    plan: Plan
    stopping: Stopping
    switch: Switch
    memory: Memory
    runs: dict[str, list[Document]] = field(default_factory=lambda: {BASE: [], NEW: []})
    made: list[Document] = field(default_factory=list)

    async def take(self, side: str) -> None:
        """Apply a side and run against it; nothing is done once a signal has come."""
        while not self.stopping.reason:
            await self.stopping.unless_stopped(self.switch.to(side, self.plan.url(side)))
            if self.stopping.reason:
                return
            document = await self._run(side)
            spare = 3 * self.plan.rounds - len(self.made)
            if document.summary.verdict is not Verdict.INVALID:
                self.runs[side].append(document)
                return
            if spare <= 0:
                return

    async def _run(self, side: str) -> Document:
        url = self.plan.url(side)
        tester = LoadTester(self.config.of_round(len(self.made)).model_copy(update={"base_url": url}))
        self.memory.follow(tester, tester.live().name)
        with self.stopping.by(tester.stop):
            summary = await tester.measure()
        state = State.STOPPED if self.stopping.reason else State.ENDED
        document = self.memory.marked(tester.document(summary), state=state)
        document = replace(document, labels={**document.labels, "side": side})
        await self.memory.keep([document], hurry=bool(self.stopping.reason))
        self.made.append(document)
        p95, most = summary.p95_response_time_ms, 2 * self.plan.rounds
        log.info(
            "run %d of %d: %s %s: %s, p95 %.4g ms", len(self.made), most, side, redact_url(url), summary.verdict, p95
        )
        return document


async def _reverted(switch: Switch, plan: Plan) -> str:
    """Revert, whatever has happened; a failure is said here too, since another one may be on its way."""
    problem = await asyncio.shield(switch.revert(plan.url(BASE)))
    if problem:
        log.error("%s", problem)
    return problem


def _conclude(turns: _Turns, plan: Plan, options: Options) -> ExitCode:
    _, left_out = without_invalid(turns.made)
    base, new = turns.runs[BASE], turns.runs[NEW]
    reasons = obstacles(base, new)
    if reasons and not (options.force and base and new):
        for reason in [*left_out, *reasons]:
            log.error("invalid: %s", reason)
        return ExitCode.INVALID
    order = " ".join("".join(block) for block in plan.order())
    sides = " and ".join(f"{side} = {redact_url(plan.url(side))}" for side in (BASE, NEW))
    notes = [f"base and new: {sides}; order of the runs: {order}", *left_out]
    is_whole = len(base) == len(new) == plan.rounds
    return report(compare_runs(base, new, options, notes, is_blocked=is_whole), options.reports)
