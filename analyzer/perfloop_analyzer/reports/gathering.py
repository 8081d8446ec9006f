"""What reports are made of: Prometheus's history, Alertmanager's silences, the inbox's messages, the database.

A source that does not answer leaves a sentence in the report; only without any answer of Prometheus is there none.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from perfloop_analyzer.changes import MOST, Kind
from perfloop_analyzer.errors import AnalyzerError, SourceUnavailable, StoreError
from perfloop_analyzer.ports import Query
from perfloop_analyzer.recommend import with_money
from perfloop_analyzer.reports.alerts import Act, AlertFacts, Message, Sent, Silence, build_alerts
from perfloop_analyzer.reports.episodes import coverage
from perfloop_analyzer.reports.history import (
    ERRORS,
    HOUR_SECONDS,
    LOWEST_HEADROOM,
    P95,
    PLANNED,
    RATE,
    WEEKS,
    HistoryFacts,
    build_history,
)
from perfloop_analyzer.reports.optimization import OptimizationFacts, build_optimization
from perfloop_analyzer.reports.review import Parts
from perfloop_analyzer.series import Grid
from perfloop_analyzer.transport import Transport
from perfloop_base.alerts import FIRING_ALERTS
from perfloop_base.durations import format_duration
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.ports import Responses, Source, Store
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.reports.history import Point
    from perfloop_analyzer.reports.window import Window
    from perfloop_base.prices import Prices

    _Stored = tuple[
        Sequence[Recommendation] | None, dict[str, Sequence[Mapping[str, Any]]], tuple[Act, ...] | None, tuple[str, ...]
    ]

API_SECONDS = 5.0
MOST_BYTES = 64 * 2**20
MOST_MESSAGES = 1000  # what the inbox keeps
# The steps of a recommendation that people take, in words.
PEOPLES = {"accept": "accepted", "implement": "implemented", "dismiss": "dismissed", "prove": "proved"}
# What nobody does because of an alert, and what is a step of a recommendation already.
_NO_ACTS = frozenset({Kind.RESTART, Kind.LOAD_TEST, Kind.CONFIGURATION, Kind.RECOMMENDATION})
_SENT = {
    "sent": "sum by (integration) (increase(alertmanager_notifications_total[$window]))",
    "failed": "sum by (integration) (increase(alertmanager_notifications_failed_total[$window]))",
}
_MONEY = {"savings": "perfloop_recommendation_saving_per_month", "prices": "perfloop_price_info"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where Alertmanager and the inbox answer; empty where there is none."""

    alertmanager: str = ""
    inbox: str = ""


class Gatherer:
    """Collects what a report of a window needs, from everything that answers."""

    def __init__(
        self,
        source: Source,
        store: Store,
        catalog: Callable[[], Sequence[Signal]],
        places: Places | None = None,
        prices: Callable[[], Prices | None] = lambda: None,
    ) -> None:
        """Use open sources; `catalog` and `prices` return the signals with their limits, and the prices, of now."""
        self._source = source
        self._store = store
        self._catalog = catalog
        self._places = places or Places()
        self._prices = prices

    async def parts(self, window: Window) -> Parts:
        """Return what is known of a window.

        Raises:
            SourceUnavailable: Prometheus answered nothing.
        """
        fine = await self._source.query(_alert_queries(window), _alert_grid(window))
        hourly = await self._source.query(self._hourly_queries(), _hourly_grid(window))
        last = await self._source.query(_last_queries(window), Grid(window.end, HOUR_SECONDS, 1))
        if not (fine.batches or hourly.batches):
            reason = next(iter(fine.failures.values()), "it gave no answer")
            raise SourceUnavailable(f"Prometheus answered nothing that the report needs: {_reason(reason)}")
        stored, events, acts, store_problem = await asyncio.to_thread(self._read_store, window)
        (silences, unheard), (messages, unread) = await asyncio.gather(self._silences(), self._messages(window))
        unknown = (*_failed(fine), *_failed(last, _SENT), *unheard, *unread, *store_problem)
        alerts = AlertFacts(
            fine.batches.get("alerts"),
            coverage(_values(fine, "targets"), _alert_grid(window).points),
            _sent(last),
            messages,
            silences,
            acts,
            unknown,
        )
        planned = {name: _points(last, name) for name in (*PLANNED, LOWEST_HEADROOM)}
        titles = {signal.name: signal.label for signal in self._catalog()}
        planned["until"] = tuple(
            ({**labels, "signal": titles.get(labels.get("signal", ""), labels.get("signal", ""))}, value)
            for labels, value in planned["until"]
        )
        history = HistoryFacts(
            hourly.batches, planned, self._limits(hourly), (*_failed(hourly), *_failed(last, planned))
        )
        money = OptimizationFacts(stored, events, _savings(last), _currency(last), store_problem)
        return Parts(build_alerts(alerts, window), build_history(history, window), build_optimization(money, window))

    def _hourly_queries(self) -> list[Query]:
        table = {signal.name: signal for signal in self._catalog()}
        return [Query(name, table[name].query("1h")) for name in (RATE, P95, ERRORS) if name in table]

    def _limits(self, hourly: Responses) -> dict[str, float]:
        """Return the limit of the 95th percentile of each service that has one."""
        signal = next((one for one in self._catalog() if one.name == P95), None)
        batch = hourly.batches.get(RATE)
        services = {labels.get("service", "") for labels in batch.labels} if batch is not None else set()
        found = {service: signal.limit_of(service).warning for service in services} if signal else {}
        return {service: limit for service, limit in found.items() if limit is not None}

    def _read_store(self, window: Window) -> _Stored:
        """Return the recommendations, their steps, what people did, and why that is not known."""
        try:
            stored = with_money(self._store.recommendations(), self._prices())
            events = {one.id: self._store.events(one.id) for one in stored}
            changes = self._store.changes(window.start)
        except StoreError as error:
            return None, {}, None, (f"{error}: what people did is not known",)
        acts = [
            Act(float(event["at"]), one.service, f"{PEOPLES[event['step']]}: {one.title}")
            for one in stored
            for event in events[one.id]
            if event["step"] in PEOPLES
        ]
        acts += [Act(one.at, one.service, f"{one.kind}: {one.title}") for one in changes if one.kind not in _NO_ACTS]
        cut = (f"only the newest {MOST} changes are known",) if len(changes) >= MOST else ()
        return stored, dict(events), tuple(sorted(acts, key=lambda act: act.at)), cut

    async def _silences(self) -> tuple[tuple[Silence, ...] | None, tuple[str, ...]]:
        """Return the silences, None where nobody knows, and what is to be said of it."""
        found, problem = await _ask(self._places.alertmanager, "api/v2/silences", "Alertmanager")
        if found is None:
            return None, (f"{problem}: which alerts were silenced is not known",)
        return tuple(_silence(one) for one in found if isinstance(one, dict)), ()

    async def _messages(self, window: Window) -> tuple[tuple[Message, ...] | None, tuple[str, ...]]:
        """Return the messages of the inbox in the same way."""
        found, problem = await _ask(self._places.inbox, "api/messages", "the inbox")
        if found is None:
            return None, (f"{problem}: which messages arrived is not known",)
        messages = tuple(_message(one) for one in found if isinstance(one, dict))
        first = min((one.at for one in messages), default=math.inf)
        if len(messages) >= MOST_MESSAGES and first > window.start:
            since = window.clock(first)
            return messages, (f"the inbox keeps {MOST_MESSAGES} messages, and none from before {since}",)
        return messages, ()


def _alert_grid(window: Window) -> Grid:
    step = window.step()
    points = max(1, int(window.seconds // step))
    return Grid(window.end - step * (points - 1), step, points)


def _hourly_grid(window: Window) -> Grid:
    start = window.weeks_before(WEEKS)[0][0]
    points = int((window.end - start) // HOUR_SECONDS)
    return Grid(window.end - HOUR_SECONDS * (points - 1), HOUR_SECONDS, points)


def _alert_queries(window: Window) -> list[Query]:
    step = format_duration(window.step())
    return [
        Query("alerts", f"max by (alertname, service, severity) (max_over_time({FIRING_ALERTS}[{step}]))"),
        Query("targets", f"count(max_over_time(up[{step}]))"),
    ]


def _last_queries(window: Window) -> list[Query]:
    length = format_duration(window.seconds)
    asked = {name: expr.replace("$window", length) for name, expr in _SENT.items()}
    asked |= PLANNED | _MONEY
    asked[LOWEST_HEADROOM] = f"min by (service) (min_over_time({PLANNED['headroom']}[{length}]))"
    return [Query(name, expr) for name, expr in asked.items()]


def _values(responses: Responses, name: str) -> Any:
    batch = responses.batches.get(name)
    return None if batch is None else batch.values


def _points(responses: Responses, name: str) -> tuple[Point, ...]:
    """Return the last value of each series of a query, with its labels."""
    batch = responses.batches.get(name)
    if batch is None or not len(batch):
        return ()
    return tuple(zip(batch.labels, batch.values[:, -1].tolist(), strict=True))


def _failed(responses: Responses, names: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return why queries have no answer, each reason once."""
    reasons = (reason for name, reason in responses.failures.items() if names is None or name in names)
    return tuple(dict.fromkeys(_reason(reason) for reason in reasons))


def _reason(failure: str) -> str:
    """Return a failure without the name of its query, which says nothing to a reader."""
    name, _, rest = failure.partition(": ")
    return rest if rest and " " not in name else failure


def _sent(responses: Responses) -> tuple[Sent, ...]:
    counts: dict[str, dict[str, float]] = {}
    for name in _SENT:
        for labels, value in _points(responses, name):
            if math.isfinite(value):
                counts.setdefault(labels.get("integration", ""), {})[name] = float(round(value))
    rows = [Sent(one, found.get("sent"), found.get("failed")) for one, found in sorted(counts.items())]
    # Alertmanager has every channel that exists, with zeros.
    return tuple(one for one in rows if one.sent or one.failed)


def _savings(responses: Responses) -> dict[tuple[str, str], float]:
    return {
        (labels.get("id", ""), labels.get("kind", "")): value
        for labels, value in _points(responses, "savings")
        if math.isfinite(value)
    }


def _currency(responses: Responses) -> str:
    return next((labels.get("currency", "") for labels, _ in _points(responses, "prices")), "")


async def _ask(url: str, path: str, what: str) -> tuple[list[Any] | None, str]:
    """Return a list that an API returned, else None and why there is none."""
    if not url:
        return None, f"{what} is not given"
    transport = Transport(url, API_SECONDS, MOST_BYTES)
    try:
        answer = await transport.request("GET", path)
        found = orjson.loads(answer.content) if answer.status == 200 else None  # noqa: PLR2004 - OK
    except AnalyzerError as error:
        return None, str(error)
    except ValueError:
        found = None
    finally:
        await transport.close()
    if not isinstance(found, list):
        return None, f"{what} at {transport.shown} gave no list, but status {answer.status}"
    return found, ""


def _silence(body: Mapping[str, Any]) -> Silence:
    matchers = tuple(
        (str(one.get("name")), str(one.get("value")), bool(one.get("isRegex")), bool(one.get("isEqual", True)))
        for one in body.get("matchers") or ()
        if isinstance(one, dict)
    )
    by, comment = (visible(str(body.get(name) or "")) for name in ("createdBy", "comment"))
    return Silence(_moment(body.get("startsAt")), _moment(body.get("endsAt")), by, comment, matchers)


def _message(body: Mapping[str, Any]) -> Message:
    words = (visible(str(body.get(name) or "")) for name in ("channel", "alertname", "status", "text"))
    return Message(_moment(body.get("received_at")), *words)


def _moment(text: Any) -> float:
    """Return Unix seconds of an API's time stamp; never, where it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return -math.inf
