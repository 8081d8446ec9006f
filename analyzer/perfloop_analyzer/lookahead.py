"""What a cycle says beyond what is wrong: the plan, what is wasted, and what recommendations are worth."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.errors import SourceUnavailable, StoreError
from perfloop_analyzer.money_watch import MoneyWatch
from perfloop_analyzer.planning.costs.asked import COSTS
from perfloop_analyzer.planning.plan import Plan
from perfloop_analyzer.planning_watch import PlanningWatch, queries_of
from perfloop_analyzer.waste_watch import WASTE_SECONDS, WasteWatch, waste_queries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perfloop_analyzer.kubernetes_watch import KubernetesWatch
    from perfloop_analyzer.pipeline import Knowledge
    from perfloop_analyzer.ports import Query, Responses, Result, Source, Store
    from perfloop_analyzer.published import Costs
    from perfloop_analyzer.series import Grid
    from perfloop_analyzer.trace_watch import TraceWatch

    Ask = Callable[[list[Query], Grid], Awaitable[Responses]]
    IsDue = Callable[[str, float, float], bool]

log = logging.getLogger("analyzer")
MONEY_SECONDS = 60.0


class LookAhead:
    """Asks and keeps what planning, waste and money need; a replay of the past makes no plans and finds no waste.

    Attributes:
        planning, waste: None where no plan is made, and no waste looked for.
        cluster: Knows who owns which pod; None where nobody asks.
        traces: Knows the traces behind findings; None where nobody asks.
    """

    def __init__(self, source: Source, store: Store, ask: Ask, is_due: IsDue) -> None:
        self.planning: PlanningWatch | None = None
        self.waste: WasteWatch | None = None
        self.cluster: KubernetesWatch | None = None
        self.traces: TraceWatch | None = None
        self._money = MoneyWatch(source, store)
        self._ask = ask
        self._is_due = is_due
        self._plan = Plan()

    async def refresh_waste(self, days: Grid, window: str, at: float) -> None:
        """Ask how much was used of everything that has a size, when it is due."""
        if self.waste is None or not self._is_due("waste", at, WASTE_SECONDS):
            return
        responses = await self._ask(waste_queries(days.step, window), days)
        await asyncio.to_thread(self.waste.note, responses.batches)

    async def look(self, result: Result, responses: Responses, knowledge: Knowledge) -> Result:
        """Return a result with its plan, waste, patches and traces; `responses` are those that it was made from."""
        result = replace(result, plan=await self._make_plan(knowledge, result.at))
        if self.waste is not None:
            result = self.waste.add(result, responses.batches, knowledge.by_name(), knowledge.settings.changes)
        if self.cluster is not None:
            result = self.cluster.add(result, responses.batches)
        return result if self.traces is None else await self.traces.add(result)

    async def _make_plan(self, knowledge: Knowledge, at: float) -> Plan:
        """Return the plan, computed again when something was due to be asked for it."""
        asked = () if self.planning is None else self.planning.due(at)
        # Without prices amounts are of no use; with the first ones they are due at once.
        due = [ask for ask in asked if ask is not COSTS or knowledge.prices is not None]
        if self.planning is None or not due:
            return self._plan
        for ask in due:
            queries = queries_of(ask, knowledge.settings.window)
            self.planning.note(ask, await self._ask(queries, ask.grid(at)), at)
        try:
            self._plan = await asyncio.to_thread(
                self.planning.plan, knowledge.by_name(), at, knowledge.prices, knowledge.scaling
            )
        except Exception:  # the edge of planning: without a plan the analysis goes on
            log.exception("no plan was made")
            self._plan = Plan(at, failures={"plan": "no plan was made: the analyzer's log says why"})
        return self._plan

    async def add_money(self, result: Result, knowledge: Knowledge, costs: Costs) -> Result:
        """Return the result with what its recommendations are worth, where there are prices; no cycle fails for it."""
        prices, bill = knowledge.prices, result.plan.bill
        if prices is None:
            return result
        if bill is not None and self._is_due("money", result.at, MONEY_SECONDS):
            try:
                await asyncio.wait_for(self._money.follow(bill, prices, result.at), MONEY_SECONDS)
            except (StoreError, TimeoutError) as error:
                costs.store_failures += 1
                log.warning("what is saved cannot be kept: %s", str(error) or "the database does not answer")
            except SourceUnavailable as error:
                costs.query_failures += 1
                log.warning("what was saved is not known: %s", error)
        return self._money.add(result, prices)
