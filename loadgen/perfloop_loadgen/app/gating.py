"""One command for a pipeline: run the tests, compare each with its baseline, say what may be merged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.terminal import show
from perfloop_loadgen.app.certifying import find_certificate
from perfloop_loadgen.app.comparing import (
    CODES,
    Options,
    compare_runs,
    refuse_finer,
    without_invalid,
    worst_code,
    write_reports,
)
from perfloop_loadgen.app.memory import Keeping, Memory
from perfloop_loadgen.app.remembered import opened
from perfloop_loadgen.app.stopping import Stopping
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.compare.obstacles import differences, faults
from perfloop_loadgen.compare.repeated import single_runs
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.reporters.gate import RENDERERS, GateOutcome, outcome_lines
from perfloop_loadgen.summary.document import State
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

REPEAT = 5


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a gate runs and compares with; `undecided_is_ok` lets a change pass that nothing is proved about."""

    baseline: str
    repeat: int = REPEAT
    undecided_is_ok: bool = False


async def gate(configs: Sequence[LoadTestConfig], plan: GatePlan, options: Options, keeping: Keeping) -> ExitCode:
    """Run every test so many times, compare, print and write the results, and return the exit code of the worst.

    Raises:
        ConfigError: a test has no baseline, does not compare with it, or the gate is finer than the machine's noise;
            nothing has run.
        StoreError: the database of runs cannot be read.
    """
    baselines = _baselines(configs, plan, options)
    memory = Memory(keeping)
    await memory.make_ready()
    outcomes: list[GateOutcome] = []
    with Stopping() as stopping:
        gating = _Gating(plan, options, memory, stopping)
        for config in configs:
            if not stopping.reason:
                runs = await gating.measure(config)
                outcomes.append(gating.judge(config.name, baselines[config.name], runs))
    for outcome in outcomes:
        for line in outcome_lines(outcome):
            show(line)
    written = write_reports({kind: RENDERERS[kind](outcomes) for kind in options.reports}, options.reports)
    return worst_code([*(ExitCode(one.code) for one in outcomes), written])


def _baselines(configs: Sequence[LoadTestConfig], plan: GatePlan, options: Options) -> dict[str, list[Document]]:
    """Return the runs of each test's baseline, and find before anything runs what would make the result worthless."""
    found: dict[str, list[Document]] = {}
    problems: list[str] = []
    with opened(options.store) as store:
        known = ", ".join(sorted({one.name for one in store.baselines()} if store is not None else ())) or "none"
        for config in configs:
            stored = store.baseline(plan.baseline, config.name) if store is not None else []
            runs = list(single_runs(stored))
            found[config.name] = runs
            if not runs:
                problems.append(
                    f"{config.name}: there is no baseline {plan.baseline} of this test (baselines: {known}); set it "
                    f"with `perfloop loadgen run FILE --repeat {REPEAT} --save-baseline {plan.baseline}`"
                )
                continue
            problems += (f"{config.name}: {problem}" for problem in _foreseen(config, runs, plan, options))
    if problems:
        raise ConfigError(problems)
    return found


def _foreseen(config: LoadTestConfig, baseline: Sequence[Document], plan: GatePlan, options: Options) -> list[str]:
    if isinstance(config.load, BreakpointConfig):
        return ["a breakpoint search has no baseline: gate a test with a fixed load"]
    tester = LoadTester(config)
    if tester.is_endless:
        return ["only a test that ends can be gated: give it a duration"]
    planned = tester.document(tester.summary())
    reasons = list(dict.fromkeys([*differences(baseline[0], planned), *faults(baseline)]))
    if reasons and not options.force:
        return [
            f"the baseline {plan.baseline} does not compare: {reason} (--force compares anyway)" for reason in reasons
        ]
    noise = find_certificate(planned)
    if noise is not None:
        try:
            refuse_finer(noise, options, len(baseline), plan.repeat)
        except ConfigError as error:
            return list(error.problems)
    return []


@dataclass(frozen=True, slots=True)
class _Gating:
    plan: GatePlan
    options: Options
    memory: Memory
    stopping: Stopping

    async def measure(self, config: LoadTestConfig) -> list[Document]:
        """Run a test as often as planned; an invalid run is made again, up to as many times as were planned."""
        runs: list[Document] = []
        valid = 0
        while valid < self.plan.repeat and len(runs) < 2 * self.plan.repeat and not self.stopping.reason:
            tester = LoadTester(config.of_round(len(runs)))
            name = tester.live().name
            self.memory.follow(tester, name)
            with self.stopping.by(tester.stop):
                summary = await tester.measure()
            state = State.STOPPED if self.stopping.reason else State.ENDED
            runs.append(self.memory.marked(tester.document(summary), name, state))
            await self.memory.keep(runs[-1:], hurry=bool(self.stopping.reason))
            p95, verdict = summary.p95_response_time_ms, summary.verdict
            valid += verdict is not Verdict.INVALID
            log.info(
                "%s: run %d (%d of %d): %s, p95 %.4g ms",
                *(config.name, len(runs), valid, self.plan.repeat, verdict, p95),
            )
        return runs

    def judge(self, test: str, baseline: Sequence[Document], runs: Sequence[Document]) -> GateOutcome:
        """Return what the runs say: stopped and invalid before failed, failed before what is compared."""
        name = self.plan.baseline
        if self.stopping.reason:
            return GateOutcome(test, name, ExitCode.STOPPED, "stopped", [self.stopping.reason])
        valid, left_out = without_invalid(runs)
        if not valid:
            return GateOutcome(test, name, ExitCode.INVALID, "invalid", left_out)
        try:
            compared = compare_runs(baseline, valid, self.options, left_out)
        except ConfigError as error:
            return GateOutcome(test, name, ExitCode.INVALID, "invalid", list(error.problems))
        failed = list(dict.fromkeys(reason for run in valid for reason in _failures(run)))
        if failed:
            return GateOutcome(test, name, ExitCode.FAILED, "failed", failed, compared)
        code = CODES[compared.answer]
        if code is ExitCode.UNDECIDED and self.plan.undecided_is_ok:
            code = ExitCode.OK
        return GateOutcome(test, name, code, str(compared.answer), [], compared)


def _failures(run: Document) -> Sequence[str]:
    return run.summary.reasons if run.summary.verdict is Verdict.FAILED else ()
