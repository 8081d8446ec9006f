"""The service's heart: one cycle after the other, never two at once; the last good result stays published."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from analyzer.config import RunConfig, format_duration
from analyzer.errors import AnalyzerError, StoreError
from analyzer.pipeline import Knowledge, analyze
from analyzer.ports import Answers, Question, Result, Source, Store
from analyzer.reporters.metrics import Costs
from analyzer.series import Grid

log = logging.getLogger("analyzer")

SCRAPES_PER_WINDOW = 4
DEFAULT_WINDOW = "1m"


@dataclass(slots=True)
class Published:
    """What readers see."""

    result: Result | None = None
    costs: Costs = field(default_factory=Costs)
    trouble: str = ""


class Loop:
    """Asks, thinks, remembers, publishes."""

    def __init__(self, config: RunConfig, source: Source, store: Store, knowledge: Knowledge) -> None:
        self._config = config
        self._source = source
        self._store = store
        self._knowledge = knowledge
        self._window_known = config.rate_window != "auto"
        self.published = Published()
        if self._window_known:
            self._knowledge = replace(knowledge, window=config.rate_window)

    async def run(self, stop: asyncio.Event, clock: Callable[[], float] = time.time) -> None:
        """Cycle at every multiple of the interval until told to stop; a cycle that is late sheds what it missed."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stop.is_set():
            await self.cycle(clock())
            due += self._config.interval_seconds
            missed = int(max(0.0, loop.time() - due) // self._config.interval_seconds)
            if missed:
                self.published.costs.cycles["shed"] += missed
                due += missed * self._config.interval_seconds
            try:
                await asyncio.wait_for(stop.wait(), max(0.0, due - loop.time()))
            except TimeoutError:
                continue

    async def cycle(self, at: float) -> Result | None:
        """Run one cycle; whatever happens, it is counted and the next one starts afresh."""
        started, cpu = time.perf_counter(), time.process_time()
        costs = self.published.costs
        result: Result | None = None
        try:
            result = await self._think(at)
            self.published.result, self.published.trouble = result, ""
            costs.last_success = at
        except AnalyzerError as error:
            self.published.trouble = str(error)
            log.warning("cycle failed: %s", error)
        except Exception as error:  # the loop's edge: one broken cycle must not end the service
            self.published.trouble = f"{type(error).__name__}: {error}"
            log.exception("cycle failed")
        costs.cycles[_outcome(result)] += 1
        costs.cycle_seconds = time.perf_counter() - started
        costs.cpu_seconds += time.process_time() - cpu
        return result

    async def _think(self, at: float) -> Result:
        await self._learn_window()
        questions = [Question(s.name, s.query(self._knowledge.window)) for s in self._knowledge.catalog]
        step, points = self._config.step_seconds, self._config.points
        answers = await self._source.ask(questions, Grid(at - step * (points - 1), step, points))
        self._count(questions, answers)
        if questions and not answers.batches:
            raise AnalyzerError(f"no question was answered: {next(iter(answers.failures.values()))}")
        result = await asyncio.to_thread(analyze, answers, self._knowledge, at)
        return await asyncio.to_thread(self._remember, result)

    def _remember(self, result: Result) -> Result:
        """Without its database the cycle is partial, not lost."""
        try:
            return replace(result, recommendations=self._store.merge(result.recommendations, result.at))
        except StoreError as error:
            self.published.costs.store_failures += 1
            log.warning("%s", error)
            return replace(result, failures={**result.failures, "store": str(error)})

    async def _learn_window(self) -> None:
        """A rate needs four scrapes to bridge a lost one."""
        if self._window_known:
            return
        interval = await self._source.scrape_interval()
        self._window_known = interval is not None
        window = DEFAULT_WINDOW if interval is None else format_duration(interval * SCRAPES_PER_WINDOW)
        self._knowledge = replace(self._knowledge, window=window)

    def _count(self, questions: list[Question], answers: Answers) -> None:
        costs = self.published.costs
        costs.queries += len(questions)
        costs.query_failures += len(answers.failures)
        costs.samples += answers.samples
        costs.query_seconds = answers.seconds


def _outcome(result: Result | None) -> str:
    if result is None:
        return "failed"
    return "partial" if result.failures else "complete"
