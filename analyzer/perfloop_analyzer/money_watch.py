"""Watches for money: keeps the cost to compare with, and measures what machines of another size saved or cost."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.errors import SourceUnavailable
from perfloop_analyzer.planning.costs.bill import RESOURCES, price_replicas
from perfloop_analyzer.planning.costs.progress import Baseline, Progress, compared_note
from perfloop_analyzer.ports import Query, Result, Source, Store
from perfloop_analyzer.recommend.money import MEASURED_SAVING, MONEY, of_machines, with_money
from perfloop_analyzer.series import Grid, current
from perfloop_base.prices import HOURS_A_MONTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_analyzer.planning.costs.bill import Bill
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_base.prices import Prices

BASELINE_SECONDS = 3600.0  # over which the cost to compare with is averaged
SETTLE_SECONDS = 600.0  # after a change: amounts are of the last five minutes, and are asked once a minute
SPAN_SECONDS = 1800.0  # before a change and after it, of which costs are compared
FORGOTTEN_SECONDS = 7 * 86_400.0  # a change this long ago is not measured any more
# Those that saved what they saved, whatever became of the finding.
MADE = frozenset({"implemented", "validated", "healed", "confounded", "inconclusive"})
COUNTED = frozenset({"open", "accepted", "implemented"})
COST = "max by (service, resource) (perfloop_cost_per_hour%s)"


class MoneyWatch:
    """Knows the cost that later ones are compared with."""

    def __init__(self, source: Source, store: Store) -> None:
        self._source = source
        self._store = store
        self._baseline: Baseline | None = None
        self._since: float | None = None

    async def follow(self, bill: Bill, prices: Prices, at: float) -> None:
        """Find the cost to compare with, and measure the savings that can be measured by now.

        Raises:
            StoreError: The database could not be read or written.
            SourceUnavailable: Prometheus gave no answer: what it would have said is asked for the next time.
        """
        since = prices.goal.since
        self._since = await asyncio.to_thread(self._store.first_accepted) if since is None else since
        self._baseline = await self._find_baseline(bill, at)
        for one in await asyncio.to_thread(self._store.recommendations):
            if one.state in MADE:
                await self._measure(one, bill, at)

    def add(self, result: Result, prices: Prices) -> Result:
        """Return the result with what each recommendation is worth, and where the goal stands."""
        bill = result.plan.bill
        priced = price_replicas(prices, bill)
        result = replace(
            result,
            recommendations=with_money(result.recommendations, priced),
            decided=with_money(result.decided, priced),
        )
        if bill is None:
            return result
        progress = self.progress(bill, prices, (*result.recommendations, *result.decided), result.at)
        return replace(result, plan=replace(result.plan, progress=progress))

    def progress(self, bill: Bill, prices: Prices, recommendations: Iterable[Recommendation], at: float) -> Progress:
        """Return where the goal stands; `recommendations` have their money."""
        known = list(recommendations)
        savings = {
            "expected": _sum(one for one in known if one.state in COUNTED and _money(one, "measured") is None),
            "measured": _sum((one for one in known if one.state in MADE), "measured"),
        }
        baseline = self._baseline if self._baseline and self._baseline.currency == bill.currency else None
        note = compared_note(self._since, baseline, at)
        return Progress(bill.currency, bill.total, prices.goal.reduction, baseline, savings, note)

    async def _find_baseline(self, bill: Bill, at: float) -> Baseline | None:
        since = self._since
        if since is None or since > at:
            return None
        stored = await asyncio.to_thread(self._store.cost_baseline, since, bill.currency)
        if stored is not None:
            return stored
        end = min(since + BASELINE_SECONDS, at)
        per_hour = await self._cost("", end, end - since, bill.currency, at) if end > since else None
        found = (
            Baseline(since, at, bill.currency, bill.total)
            if per_hour is None
            else Baseline(since, since, bill.currency, per_hour)
        )
        # Until the hour has passed it may still change.
        if at >= since + BASELINE_SECONDS:
            await asyncio.to_thread(self._store.write_cost_baseline, found)
        return found

    async def _measure(self, one: Recommendation, bill: Bill, at: float) -> None:
        """Record what machines of another size saved, once the cost after the change is known.

        Only of machines: what services use follows their load, and is not the recommendation's. The sizes of limits,
        replicas and pools are measured themselves (`recommend.money`).
        """
        resources = {RESOURCES[name][0] for key in one.added if (name := key.partition(":")[0]) in RESOURCES}
        if not resources or not of_machines(one) or one.values.get(MEASURED_SAVING) is not None:
            return
        changed = await asyncio.to_thread(self._changed, one.id)
        if changed is None or not SETTLE_SECONDS + SPAN_SECONDS <= at - changed <= FORGOTTEN_SECONDS:
            return
        matchers = f'{{resource=~"{"|".join(sorted(resources))}"}}'
        before = await self._cost(matchers, changed, SPAN_SECONDS, bill.currency, at)
        end = changed + SETTLE_SECONDS + SPAN_SECONDS
        after = await self._cost(matchers, end, SPAN_SECONDS, bill.currency, at)
        if before is None or after is None:
            return
        saved = {"currency": bill.currency, "per_month": (before - after) * HOURS_A_MONTH, "at": at}
        await asyncio.to_thread(self._store.note_saving, one.id, saved)

    def _changed(self, identifier: str) -> float | None:
        """Return when a recommendation was last marked as implemented, in Unix seconds."""
        moments = [event["at"] for event in self._store.events(identifier) if event["step"] == "implement"]
        return float(moments[-1]) if moments else None

    async def _cost(self, matchers: str, end: float, seconds: float, currency: str, at: float) -> float | None:
        """Return the mean cost of an hour of the series over a time; None where it was not published then.

        Raises:
            SourceUnavailable: Prometheus gave no answer, and whether it was published is not known.
        """
        span, moment = f"{max(60, round(seconds))}s", f"{end:.3f}"
        expr = (
            f"avg_over_time((sum({COST % matchers}))[{span}:1m] @ {moment}) and on () "
            f'max(max_over_time(perfloop_price_info{{currency="{currency}"}}[{span}] @ {moment}))'
        )
        answer = await self._source.query([Query("cost", expr)], Grid(at - 1.0, 1.0, 2))
        for reason in answer.failures.values():
            raise SourceUnavailable(reason)
        batch = answer.batches.get("cost")
        values = [float(value) for value in current(batch.values) if math.isfinite(value)] if batch else []
        return values[0] if values else None


def _money(one: Recommendation, kind: str) -> float | None:
    money: Any = one.values.get(MONEY)
    return money[f"{kind}_saving_per_month"] if isinstance(money, dict) else None


def _sum(recommendations: Iterable[Recommendation], kind: str = "expected") -> float:
    return sum(money for one in recommendations if (money := _money(one, kind)) is not None)
