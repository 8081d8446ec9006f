"""The service's loop: one cycle after the other, never two in parallel; the last good result stays published."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_analyzer.change_watch import ChangeWatch, change_queries
from perfloop_analyzer.changes import MOST, configured
from perfloop_analyzer.config import AUTO, AnalysisConfig
from perfloop_analyzer.detectors.multiple import cycle_level
from perfloop_analyzer.errors import AnalyzerError, SourceUnavailable, StoreError
from perfloop_analyzer.firing import Firing, read_firing
from perfloop_analyzer.followup import FollowUp
from perfloop_analyzer.incidents import RECALLED, Memory, recall
from perfloop_analyzer.keeping import STORE_SECONDS, Keeping, Lenient
from perfloop_analyzer.lease import Fence, is_one_watch
from perfloop_analyzer.lookahead import LookAhead
from perfloop_analyzer.pipeline import (
    Knowledge,
    NoveltyWatch,
    analyze,
    history_queries,
    learn,
    name_parts,
    pack,
    part_queries,
    unpack,
)
from perfloop_analyzer.pipeline.burns import burn_queries, find_burning
from perfloop_analyzer.pipeline.lives import Lives
from perfloop_analyzer.pipeline.lookback import day_before, find_cut, find_starts
from perfloop_analyzer.ports import NoRewriting, Query, Responses, Result, Rewriter, Source, Store
from perfloop_analyzer.published import CYCLES_UNTIL_STALE, LEAST_STALE_SECONDS, Published
from perfloop_analyzer.series import Grid
from perfloop_base.alerts import FIRING_ALERTS
from perfloop_base.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.detectors.spread import Spread
    from perfloop_analyzer.lease import Post
    from perfloop_analyzer.pipeline import History

log = logging.getLogger("analyzer")

NOTHING_SEEN = "no series has a value of the last minute: {}, and health is unknown"
SCRAPES_PER_WINDOW = 4  # a rate needs two samples; four scrapes bridge a lost one
DEFAULT_WINDOW = "1m"
DEFAULT_STEP = 15.0
BASELINE_DAYS = 14
DAY_SECONDS = 86_400.0
SHORTEST_STEP, LONGEST_STEP = 1.0, 60.0
LONGEST_GAP = 3.0  # intervals between two cycles of the service
LONGEST_PAUSE = 2700.0  # seconds between two single cycles
FOLLOW_SECONDS = 60.0
RECALL_SECONDS = 60.0
CHANGES_SECONDS = 15.0
PATIENCE = 0.5  # of an interval: for which a cycle waits for what days of history teach


class Configuration(Protocol):
    """The configuration files, read again when one of them changes."""

    knowledge: Knowledge
    problem: str

    def refresh(self) -> bool:
        """Return whether `knowledge` is new."""


class Loop:
    """Query, analyze, store, publish.

    Attributes:
        published: What readers see.
        failure: The error of the newest cycle; None when it succeeded.
        ahead: What a cycle says beyond what is wrong; a replay of the past leaves it as it is made.
    """

    _is_running = False
    _has_begun = False
    _has_recalled = False

    def __init__(
        self,
        config: AnalysisConfig,
        source: Source,
        store: Store,
        knowledge: Knowledge,
        rewriter: Rewriter | None = None,
    ) -> None:
        self._config = config
        self._source = source
        self._store = store
        self._knowledge = knowledge
        self._rewriter = rewriter or NoRewriting()
        self._files: Configuration | None = None
        self._table = knowledge.by_name()
        self._step = config.step_seconds or DEFAULT_STEP
        self._scrape_interval_known = False
        self._watch = NoveltyWatch()
        self._follow = FollowUp(source, store)
        self._changes = ChangeWatch(store)
        self.ahead = LookAhead(source, store, self._query, self._is_due)
        self._keeping = Keeping(store)
        self._lenient = Lenient(self._count_failure)
        self._fence = Fence()
        self._learning: asyncio.Task[None] | None = None
        self._last_run: dict[str, float] = {}
        stale_after = max(LEAST_STALE_SECONDS, CYCLES_UNTIL_STALE * config.interval_seconds)
        self.published = Published(catalog=knowledge.catalog, stale_after=stale_after, prices=knowledge.prices)
        self.failure: AnalyzerError | StoreError | None = None
        window = DEFAULT_WINDOW if config.rate_window == AUTO else config.rate_window
        self._update_settings(window=window, level=cycle_level(config.interval_seconds))

    def follow(self, files: Configuration, at: float) -> None:
        """Use the knowledge of these files from now on, whenever they change."""
        self._files = files
        self.published.costs.last_reload_success = at

    def take_turns(self, post: Post, fence: Fence) -> None:
        """Analyze and publish from now on only while this analyzer has the lease, and write through this fence."""
        self.published.post, self._fence = post, fence

    def spread_over(self, spread: Spread) -> None:
        """Let somebody else look through many series from now on."""
        self._update_settings(spread=spread)

    async def run(self, stop: asyncio.Event, clock: Callable[[], float] = time.time) -> None:
        """Run a cycle at every multiple of the interval until `stop` is set; a late cycle skips those it missed."""
        loop = asyncio.get_running_loop()
        self._is_running = True
        due = loop.time()
        while not stop.is_set():
            if not (self._has_begun and self.published.post.is_leader and self._is_one_watch):
                await self.published.post.wait(stop)
                if not (self._has_begun and self._is_one_watch):
                    self._stand_back()
                    await self._lenient.bounded(asyncio.to_thread(self.load_baselines, clock()), STORE_SECONDS)
                self._has_begun, self._fence.claim, due = True, self.published.post.claim, loop.time()
                continue
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

    @property
    def _is_one_watch(self) -> bool:
        """Whether nobody else can have published since the cycle began in whose name this analyzer writes."""
        return is_one_watch(self._fence.claim, self.published.post.claim)

    def _stand_back(self) -> None:
        """Forget what stood: another analyzer goes on with it, and what it leaves is taken up from the database."""
        self.published.withdraw()
        self._has_recalled = False
        self._keeping.forget()
        self._last_run.pop("recall", None)
        self._update_settings(memory=Memory(), burning=(), burn_readings=())

    async def cycle(self, at: float) -> Result | None:
        """Run one cycle and return its result; a failure is counted, published and logged, and gives None."""
        started, cpu = time.perf_counter(), time.process_time()
        costs = self.published.costs
        result: Result | None = None
        post = self.published.post
        self._fence.claim = post.claim
        try:
            result = await self._analyze(at)
            if not (post.is_leader and self._is_one_watch):
                # Frozen or cut off meanwhile: what was found then is not what is now, and another one may publish.
                costs.cycles["shed"] += 1
                return None
            self.published.publish(result)
            self.published.error, self.failure = "", None
            costs.last_success = at
        except (AnalyzerError, StoreError) as error:
            self.published.error, self.failure = str(error), error
            log.warning("cycle failed: %s", error)
        except Exception as error:  # the loop's edge: one broken cycle must not end the service
            self.published.error = f"{type(error).__name__}: {error}"
            self.failure = AnalyzerError(self.published.error)
            log.exception("cycle failed")
        costs.cycles["failed" if result is None else "partial" if result.failures else "complete"] += 1
        costs.cycle_seconds = time.perf_counter() - started
        costs.cpu_seconds += time.process_time() - cpu
        return result

    async def _analyze(self, at: float) -> Result:
        if not self._has_recalled and self._is_due("recall", at, RECALL_SECONDS):
            await self._lenient.bounded(asyncio.to_thread(self._recall), STORE_SECONDS)
        await self._refresh_configuration(at)
        await self._detect_scrape_interval()
        queries = [Query(one.name, one.query(self._knowledge.settings.window)) for one in self._knowledge.catalog]
        points = self._config.points
        grid = Grid(at - self._step * (points - 1), self._step, points)
        responses = await self._query(queries, grid)
        if queries and not responses.batches:
            raise SourceUnavailable(f"no query was answered: {next(iter(responses.failures.values()))}")
        if self._knowledge.settings.memory.looked is None:
            await self._recall_published(grid)
        await self._ask_which_alerts_fire(at)
        await self._look_for_changes(at)
        await self._refresh_history(at)
        await self.ahead.refresh_waste(self._days_until(at), self._knowledge.settings.window, at)
        await self._refresh_burn_rates(at)
        await self._follow_up(at)
        result = await self._judge(responses, at)
        if asked := part_queries(result, self._knowledge):
            # Without an answer nothing stands out; no cycle fails for it.
            parts = await self._query(asked, Grid(at - self._step, self._step, 2))
            result = await asyncio.to_thread(name_parts, result, responses, parts.batches, self._knowledge)
        if not result.health:
            result = replace(result, failures={**result.failures, "data": NOTHING_SEEN.format(result.unseen[0].words)})
        result = await self.ahead.look(result, responses, self._knowledge)
        result = replace(result, recommendations=await self._rewriter.rewrite(result.recommendations))
        self.published.costs.refused_texts = self._rewriter.rejected
        self.published.spread_problem = getattr(self._knowledge.settings.spread, "problem", "")
        self.published.batches, self.published.topology = responses.batches, self._knowledge.topology
        self._update_settings(memory=result.memory)
        return await self.ahead.add_money(await self._persist(result), self._knowledge, self.published.costs)

    async def _judge(self, responses: Responses, at: float) -> Result:
        """Analyze; once more where a day of history says since when something lasts that is seen for the first time."""
        result = await asyncio.to_thread(analyze, responses, self._knowledge, at)
        memory = self._knowledge.settings.memory
        if cut := find_cut(result, memory):
            days = await self._query(*day_before(cut, self._knowledge, at))
            self._update_settings(memory=find_starts(cut, days.batches, self._table, memory, at))
            result = await asyncio.to_thread(analyze, responses, self._knowledge, at)
        return result

    async def _refresh_configuration(self, at: float) -> None:
        """Take up changed files; history and burn rates are due then, because they were judged by the old limits."""
        if self._files is None:
            return
        is_new = await asyncio.to_thread(self._files.refresh)
        costs = self.published.costs
        costs.reload_succeeded = not self._files.problem
        self.published.configuration_problem = self._files.problem
        if not is_new:
            return
        costs.last_reload_success = at
        change = configured(self._judged_otherwise(), at)
        self._knowledge = replace(self._files.knowledge, settings=self._knowledge.settings)
        self._table = self._knowledge.by_name()
        self.published.catalog, self.published.prices = self._knowledge.catalog, self._knowledge.prices
        self._last_run.pop("history", None)
        self._last_run.pop("burn", None)
        self._update_settings(burning=(), burn_readings=())
        await self._lenient.bounded(asyncio.to_thread(self._record, change), STORE_SECONDS)

    def _judged_otherwise(self) -> list[str]:
        """Return the titles of the signals that the changed files give other limits."""
        new = self._files.knowledge.by_name() if self._files else {}
        return [
            signal.label
            for name, signal in new.items()
            if name in self._table
            and (signal.limit, signal.own_limits) != (self._table[name].limit, self._table[name].own_limits)
        ]

    def _record(self, change: Change) -> None:
        with self._lenient.may_fail():
            self._store.record_change(change)

    async def _query(self, queries: list[Query], grid: Grid) -> Responses:
        responses = await self._source.query(queries, grid)
        costs = self.published.costs
        costs.queries += len(queries)
        costs.query_failures += len(responses.failures)
        costs.samples += responses.samples
        costs.query_seconds = responses.seconds
        costs.clock_skew = float(getattr(self._source, "skew", 0.0))
        return responses

    async def _ask_which_alerts_fire(self, at: float) -> None:
        """Publish the alerts that fire now, or why it is not known; no cycle fails for it."""
        responses = await self._query([Query("alerts", FIRING_ALERTS)], Grid(at - 30.0, 30.0, 2))
        batch = responses.batches.get("alerts")
        reason = responses.failures.get("alerts", "Prometheus gave no answer")
        self.published.firing = Firing(problem=reason, at=at) if batch is None else read_firing(batch, at)

    async def _look_for_changes(self, at: float) -> None:
        """Take up what was changed: recorded by people at any time, or shown by Prometheus; no cycle fails for it."""
        is_due = self._is_due("changes", at, CHANGES_SECONDS)
        responses = await self._query(*change_queries(at)) if is_due else None
        await self._lenient.bounded(asyncio.to_thread(self._note_changes, responses, at), STORE_SECONDS)

    def _note_changes(self, responses: Responses | None, at: float) -> None:
        with self._lenient.may_fail():
            self._update_settings(changes=self._changes.note(responses, at))
            return
        self._update_settings(changes=(*self._changes.unwritten, *self._knowledge.settings.changes)[:MOST])

    async def _refresh_history(self, at: float) -> None:
        """Read the history when it is due; what it teaches holds until the next time.

        With many series it takes longer than a cycle to learn it: after PATIENCE of an interval the service goes on
        without it, and what it teaches holds from when it is there.
        """
        if self._learning is None and self._is_due("history", at, self._config.history_interval_seconds):
            queries = history_queries(self._table, self._knowledge.settings.window)
            responses = await self._query(queries, self._days_until(at))
            if responses.batches:  # else what was learned before still holds
                self._learning = asyncio.create_task(self._learn(responses, at))
        if self._learning is None:
            return
        patience = PATIENCE * self._config.interval_seconds if self._is_running else None
        done, _ = await asyncio.wait({self._learning}, timeout=patience)
        if done:
            learning, self._learning = self._learning, None
            learning.result()

    async def _learn(self, responses: Responses, at: float) -> None:
        window, table = self._knowledge.settings.window, self._table
        level = cycle_level(self._config.history_interval_seconds)
        lives = Lives(self._knowledge.settings.history.lives, self._knowledge.settings.memory)
        learned = await asyncio.to_thread(learn, responses.batches, table, window, level, lives)
        new = await asyncio.to_thread(self._watch.watch, responses.batches, table, window)
        known = {**self._knowledge.settings.history.learned, **learned.learned}
        self._update_settings(history=replace(learned, learned=known, findings=(*learned.findings, *new)))
        if learned.learned:
            await self._lenient.bounded(asyncio.to_thread(self._keep_baselines, learned, at), STORE_SECONDS)

    def _days_until(self, at: float) -> Grid:
        """Return the grid of the history that ends at a moment, in Unix seconds."""
        step = self._config.history_step_seconds
        end = at - at % step
        return Grid(end - self._config.history_seconds + step, step, round(self._config.history_seconds / step))

    def _keep_baselines(self, learned: History, at: float) -> None:
        with self._lenient.may_fail():
            self._store.write_baselines(pack(learned), at)

    def load_baselines(self, at: float) -> None:
        """Use the baselines that were stored within the last BASELINE_DAYS."""
        with self._lenient.may_fail():
            self._update_settings(history=unpack(self._store.baselines(at - BASELINE_DAYS * DAY_SECONDS)))

    def _recall(self) -> None:
        """Take up what stood when another run of the program ended, once the database can be read."""
        with self._lenient.may_fail():
            stored = self._store.memory()
            self._has_recalled = True
            self._update_settings(memory=stored.merge(self._knowledge.settings.memory))

    async def _recall_published(self, grid: Grid) -> None:
        """Take up what another analyzer publishes or published: a single analysis, or one without its database."""
        responses = await self._query([Query("recalled", RECALLED)], grid)
        if (batch := responses.batches.get("recalled")) is not None:
            self._update_settings(memory=recall(batch))

    def _count_failure(self) -> None:
        self.published.costs.store_failures += 1

    def _is_due(self, what: str, at: float, interval: float) -> bool:
        """Return whether it is time, and record that it was done; a clock that was set back makes everything due."""
        since = at - self._last_run.get(what, float("-inf"))
        if 0 <= since < interval:
            return False
        self._last_run[what] = at
        return True

    async def _refresh_burn_rates(self, at: float) -> None:
        """Query the burn windows when they are due; in every cycle while a budget burns, so that its end is seen."""
        standing = self._knowledge.settings.burning
        if not self._is_due("burn", at, self._config.burn_interval_seconds) and not standing:
            return
        responses = await self._query(burn_queries(self._table), Grid(at - 2.0, 1.0, 3))
        findings, readings = find_burning(responses.batches, self._table, standing)
        self._update_settings(burning=tuple(findings), burn_readings=tuple(readings))

    async def _follow_up(self, at: float) -> None:
        """Measure the effect of implemented recommendations."""
        if not self._is_due("follow", at, self._config.follow_interval_seconds):
            return
        measuring = self._follow.measure(self._table, self._knowledge.settings.window, at)
        with self._lenient.may_fail():
            await self._lenient.bounded(measuring, FOLLOW_SECONDS)

    def _update_settings(self, **changes: Any) -> None:
        self._knowledge = replace(self._knowledge, settings=replace(self._knowledge.settings, **changes))

    async def _persist(self, result: Result) -> Result:
        """Store the result; without the database, or when it does not answer, the cycle is partial, not lost."""
        now = time.monotonic() if self._is_running else result.at
        most = LONGEST_GAP * self._config.interval_seconds if self._is_running else LONGEST_PAUSE
        try:
            stored = await self._keeping.keep(result, now, most)
        except StoreError as error:
            self._count_failure()
            log.warning("%s", error)
            return replace(result, failures={**result.failures, "store": str(error)})
        self._update_settings(records=stored.records)
        return stored

    async def _detect_scrape_interval(self) -> None:
        """Derive the automatic rate window and step from the scrape interval, once it is known."""
        if self._scrape_interval_known:
            return
        interval = await self._source.scrape_interval()
        if interval is None:
            return
        self._scrape_interval_known = True
        if self._config.rate_window == AUTO:
            self._update_settings(window=format_duration(interval * SCRAPES_PER_WINDOW))
        # A step shorter than the scrape interval reads every sample twice.
        self._step = self._config.step_seconds or min(max(interval, SHORTEST_STEP), LONGEST_STEP)
