"""What callers feel, measured: the objectives of slos.yml over their window, the goals of thresholds.yml, no alert."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop.check import advice
from perfloop.check.findings import failed, passed, unknown
from perfloop.check.sources import in_words
from perfloop_base.burn_rates import PERIOD
from perfloop_base.quantities import quantity, span
from perfloop_rules.slo_rules import FAST_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources
    from perfloop_base.slos import Slo
    from perfloop_base.thresholds import Signal

_API = "api"  # the component whose objectives every service has
_MINUTE = re.compile(r"\[1m\]")
_GOAL_WINDOW = "1h"
_LEAST_REQUESTS = 100  # in the window of a goal: fewer say nothing about a share of 0.1 %
_FIRING = 'ALERTS{alertstate="firing",severity=~"warning|critical"'
_COUNT = "http_server_request_duration_seconds_count"


def look_at_objectives(sources: Sources) -> Iterator[Finding]:
    """Each objective is met over its window, or over what there is of it: a line for each service and objective."""
    if not sources.services:
        yield unknown("no service publishes requests, so nothing can be measured", advice.ADD_TARGET)
        return
    counts = {name: _over_window(sources, name) for name in ("events", "errors")}
    lengths = _lengths(sources)
    for service in sources.services:
        for slo in sources.slos:
            key = service, slo.name
            events, errors = (counts[name].get(key) for name in ("events", "errors"))
            if events is not None or slo.component == _API:
                yield _objective(service, slo, events, errors, lengths.get(key, 0.0))


def _objective(service: str, slo: Slo, events: float | None, errors: float | None, seconds: float) -> Finding:
    of = f"{service} {slo.name}"
    if not events or errors is None:
        return unknown(f"no request of {service} was recorded within {PERIOD}", advice.SEND_LOAD, of=of)
    if events < slo.minimum_events:
        few = f"{events:.0f} requests in {span(seconds)} are too few: {slo.minimum_events:.0f} are needed"
        return unknown(few, advice.SEND_LOAD, of=of)
    share = 1 - errors / events
    measured = f"{_percent(share)} of {events:.0f} over {span(seconds)} (goal: {_percent(slo.objective)})"
    words = f"{slo.title}: {measured}"
    return passed(words, of=of) if share >= slo.objective else failed(words, advice.FIND_CAUSE, of=of)


def _over_window(sources: Sources, kind: str) -> dict[tuple[str, str], float]:
    """Return how many events of a kind the window of the objectives has, by service and objective."""
    series = f"service_slo:slo_{kind}:rate5m{{{sources.of_service()}}}"
    found = sources.query(f"sum by (service, slo) (sum_over_time({series}[{PERIOD}]))")
    return {_key(labels): value * FAST_SECONDS for labels, value in found}


def _lengths(sources: Sources) -> dict[tuple[str, str], float]:
    """Return how many seconds of the window have data, by service and objective."""
    series = f"service_slo:slo_events:rate5m{{{sources.of_service()}}}"
    found = sources.query(f"max by (service, slo) (count_over_time({series}[{PERIOD}]))")
    return {_key(labels): value * FAST_SECONDS for labels, value in found}


def _key(labels: dict[str, str]) -> tuple[str, str]:
    return labels.get("service", ""), labels.get("slo", "")


def look_at_goals(sources: Sources) -> Iterator[Finding]:
    """Each signal with a goal has kept it for an hour; one that an objective measures by its limit is left to that."""
    measured = {slo.signal for slo in sources.slos if slo.within is not None}
    signals = [one for one in sources.thresholds.signals if one.goal is not None and one.name not in measured]
    if not signals:
        yield passed("no signal has a goal besides the objectives")
    requests = dict(_by_service(sources, f"sum by (service) (increase({_COUNT}[{_GOAL_WINDOW}]))"))
    for signal in signals:
        values = _by_service(sources, _MINUTE.sub(f"[{_GOAL_WINDOW}]", signal.expr))
        for service in sources.services or ("any service",):
            yield _goal(service, signal, values, requests.get(service, 0.0))


def _by_service(sources: Sources, promql: str) -> dict[str, float]:
    """Return the value of each service: of several series the highest."""
    found: dict[str, float] = {}
    for labels, value in sources.query(promql):
        service = labels.get("service", "")
        found[service] = max(value, found.get(service, value))
    return found


def _goal(service: str, signal: Signal, values: dict[str, float], requests: float) -> Finding:
    of, value, goal = f"{service} {signal.name}", values.get(service), signal.goal or 0.0
    if value is None or requests < _LEAST_REQUESTS:
        few = f"{requests:.0f} requests of {service} within {_GOAL_WINDOW} are too few: {_LEAST_REQUESTS} are needed"
        return unknown(few, advice.SEND_LOAD, of=of)
    is_met = value < goal if signal.direction == "above" else value > goal
    side = "below" if signal.direction == "above" else "above"
    limit = f"goal: {side} {quantity(goal, signal.unit)}"
    words = f"{signal.title}: {quantity(value, signal.unit)} over {_GOAL_WINDOW} ({limit})"
    return passed(words, of=of) if is_met else failed(words, advice.FIND_CAUSE, of=of)


def look_at_firing(sources: Sources) -> Iterator[Finding]:
    """No warning and no critical alert fires."""
    matcher = sources.of_service()
    found = sources.query(f"{_FIRING}{',' if matcher else ''}{matcher}}}")
    names = sorted({f"{one.get('alertname')} of {one.get('service', 'no service')}" for one, _ in found})
    if names:
        yield failed(f"firing: {in_words(names)}", advice.FIND_CAUSE)
    elif not sources.query("count(up)"):
        yield unknown("Prometheus has no series yet", advice.STATUS)
    else:
        yield passed("no warning and no critical alert fires")


def _percent(share: float) -> str:
    return quantity(share, "ratio", 5)
