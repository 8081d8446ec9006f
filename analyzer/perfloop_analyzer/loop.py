"""The service's heart: one cycle after the other, never two at once; the last good result stays published."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.detectors.multiple import cycle_level
from perfloop_analyzer.errors import AnalyzerError, SourceUnavailable, StoreError
from perfloop_analyzer.followup import FollowUp
from perfloop_analyzer.pipeline import History, Knowledge, NoveltyWatch, analyze, history_questions, learn, pack, unpack
from perfloop_analyzer.pipeline.burns import burn_questions, find_burning
from perfloop_analyzer.ports import Answers, Question, Result, Source, Store, Wording
from perfloop_analyzer.reporters.metrics import Costs
from perfloop_analyzer.series import Batch, Grid
from perfloop_base.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from perfloop_analyzer.config import RunConfig
    from perfloop_analyzer.recommend import Recommendation

log = logging.getLogger("analyzer")

SCRAPES_PER_WINDOW = 4
DEFAULT_WINDOW = "1m"
DEFAULT_STEP = 15.0
BASELINE_DAYS = 14
DECIDED_DAYS = 30
SHORTEST_STEP, LONGEST_STEP = 1.0, 60.0


class OwnWords:
    """Leaves every word as the rule base wrote it: the wording without a language model."""

    refused = 0

    async def reword(self, recommendations: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return what came."""
        return tuple(recommendations)


@dataclass(slots=True)
class Published:
    """What readers see."""

    result: Result | None = None
    batches: Mapping[str, Batch] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    trouble: str = ""


class Loop:
    """Asks, thinks, remembers, publishes."""

    def __init__(
        self,
        config: RunConfig,
        source: Source,
        store: Store,
        knowledge: Knowledge,
        wording: Wording | None = None,
    ) -> None:
        self._config = config
        self._source = source
        self._store = store
        self._knowledge = knowledge
        self._wording = wording or OwnWords()
        self._table = knowledge.by_name()
        self._step = config.step_seconds or DEFAULT_STEP
        self._scrapes_known = False
        self._watch = NoveltyWatch()
        self._follow = FollowUp(source, store, self._table)
        self._looked: dict[str, float] = {}
        self.published = Published()
        self.failure: AnalyzerError | None = None
        window = DEFAULT_WINDOW if config.rate_window == "auto" else config.rate_window
        self._settle(window=window, level=cycle_level(config.interval_seconds))

    async def run(self, stop: asyncio.Event, clock: Callable[[], float] = time.time) -> None:
        """Cycle at every multiple of the interval until told to stop; a cycle that is late sheds what it missed."""
        loop = asyncio.get_running_loop()
        self.recall(clock())
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
            self.published.result, self.published.trouble, self.failure = result, "", None
            costs.last_success = at
        except AnalyzerError as error:
            self.published.trouble, self.failure = str(error), error
            log.warning("cycle failed: %s", error)
        except Exception as error:  # the loop's edge: one broken cycle must not end the service
            self.published.trouble = f"{type(error).__name__}: {error}"
            self.failure = AnalyzerError(self.published.trouble)
            log.exception("cycle failed")
        costs.cycles[_outcome(result)] += 1
        costs.cycle_seconds = time.perf_counter() - started
        costs.cpu_seconds += time.process_time() - cpu
        return result

    async def _think(self, at: float) -> Result:
        await self._learn_scrapes()
        window = self._knowledge.settings.window
        questions = [Question(s.name, s.query(window)) for s in self._knowledge.catalog]
        points = self._config.points
        answers = await self._ask(questions, Grid(at - self._step * (points - 1), self._step, points))
        if questions and not answers.batches:
            raise SourceUnavailable(f"no question was answered: {next(iter(answers.failures.values()))}")
        await self._look_back(at)
        await self._look_at_budgets(at)
        await self._look_at_changes(at)
        result = await asyncio.to_thread(analyze, answers, self._knowledge, at)
        result = replace(result, recommendations=await self._wording.reword(result.recommendations))
        self.published.costs.refused_words = self._wording.refused
        self.published.batches = answers.batches
        return await asyncio.to_thread(self._remember, result)

    async def _ask(self, questions: list[Question], grid: Grid) -> Answers:
        answers = await self._source.ask(questions, grid)
        costs = self.published.costs
        costs.queries += len(questions)
        costs.query_failures += len(answers.failures)
        costs.samples += answers.samples
        costs.query_seconds = answers.seconds
        return answers

    async def alerts(self, at: float) -> list[dict[str, str]]:
        """Return the labels of what Prometheus alerts on now."""
        answers = await self._ask([Question("alerts", 'ALERTS{alertstate="firing"}')], Grid(at - 60.0, 30.0, 3))
        return [dict(labels) for labels in answers.batches["alerts"].labels] if answers.batches else []

    async def _look_back(self, at: float) -> None:
        """Read the history again when it is time; what it teaches holds until the next time."""
        if not self._is_due("history", at, self._config.history_interval_seconds):
            return
        step = self._config.history_step_seconds
        end = at - at % step
        grid = Grid(end - self._config.history_seconds + step, step, round(self._config.history_seconds / step))
        settings = self._knowledge.settings
        answers = await self._ask(history_questions(self._table, settings.window), grid)
        if not answers.batches:
            return  # what was learned before still holds
        level = cycle_level(self._config.history_interval_seconds)
        learned = await asyncio.to_thread(learn, answers.batches, self._table, settings.window, level)
        new = await asyncio.to_thread(self._watch.watch, answers.batches, self._table, settings.window)
        known = {**settings.history.learned, **learned.learned}
        self._settle(history=replace(learned, learned=known, findings=(*learned.findings, *new)))
        if learned.learned:
            await asyncio.to_thread(self._keep_baselines, learned, at)

    def _keep_baselines(self, learned: History, at: float) -> None:
        with self._store_may_fail():
            self._store.write_baselines(pack(learned), at)

    def recall(self, at: float) -> None:
        """Take up the baselines of the last days from before the restart."""
        with self._store_may_fail():
            self._settle(history=unpack(self._store.baselines(at - BASELINE_DAYS * 86_400.0)))

    @contextlib.contextmanager
    def _store_may_fail(self) -> Iterator[None]:
        """Without its database the analyzer goes on, and says so."""
        try:
            yield
        except StoreError as error:
            self.published.costs.store_failures += 1
            log.warning("%s", error)

    def _is_due(self, what: str, at: float, interval: float) -> bool:
        """Say whether it is time, and note that it was done; a clock that jumped back makes everything due."""
        since = at - self._looked.get(what, float("-inf"))
        if 0 <= since < interval:
            return False
        self._looked[what] = at
        return True

    async def _look_at_budgets(self, at: float) -> None:
        """Ask for the burn windows when it is time; while a budget burns every cycle, so that its end is seen."""
        standing = self._knowledge.settings.burning
        if not self._is_due("burn", at, self._config.burn_interval_seconds) and not standing:
            return
        answers = await self._ask(burn_questions(self._table), Grid(at - 2.0, 1.0, 3))
        findings, readings = find_burning(answers.batches, self._table, standing)
        self._settle(burning=tuple(findings), burn_readings=tuple(readings))

    async def _look_at_changes(self, at: float) -> None:
        """See what became of the recommendations that people implemented."""
        if not self._is_due("follow", at, self._config.follow_interval_seconds):
            return
        with self._store_may_fail():
            await self._follow.look(self._knowledge.settings.window, at)

    def _settle(self, **changes: Any) -> None:
        self._knowledge = replace(self._knowledge, settings=replace(self._knowledge.settings, **changes))

    def _remember(self, result: Result) -> Result:
        """Without its database the cycle is partial, not lost."""
        try:
            self._store.write_findings(result.findings, result.at)
            standing = self._store.merge(result.recommendations, result.at)
            ids = {made.id for made in standing}
            decided = self._store.decided(result.at - DECIDED_DAYS * 86_400.0)
            return replace(
                result, recommendations=standing, decided=tuple(made for made in decided if made.id not in ids)
            )
        except StoreError as error:
            self.published.costs.store_failures += 1
            log.warning("%s", error)
            return replace(result, failures={**result.failures, "store": str(error)})

    async def _learn_scrapes(self) -> None:
        """A rate needs four scrapes to bridge a lost one; asking between two scrapes tells nothing new."""
        if self._scrapes_known:
            return
        interval = await self._source.scrape_interval()
        if interval is None:
            return
        self._scrapes_known = True
        if self._config.rate_window == "auto":
            self._settle(window=format_duration(interval * SCRAPES_PER_WINDOW))
        self._step = self._config.step_seconds or min(max(interval, SHORTEST_STEP), LONGEST_STEP)


def _outcome(result: Result | None) -> str:
    if result is None:
        return "failed"
    return "partial" if result.failures else "complete"
