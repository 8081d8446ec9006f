"""The steps of the tour: baseline, break, alert, notify, analyze, recommend, accept, prove, fix, gate, validate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import StartError
from perfloop_base.quantities import quantity
from perfloop_base.terminal import show
from perfloop_demo.tour.stack import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_demo.tour.stack import LoadResult, Stack

# Twice the critical limit of a query.
_SLOW_SECONDS = 0.4
_HEALTH = 'perfloop_health_score{service="demo"}'
_ALERT = 'ALERTS{service="demo", component="database", severity="critical", alertstate="firing"}'
_RECOMMENDATION = 'perfloop_recommendation_info{service="demo", category="database", state=~"open|accepted"}'
_TRAFFIC = 'sum(rate(http_server_request_duration_seconds_count{service="demo"}[1m]))'
# Below this rate the rules have too few samples of a minute.
_ENOUGH_PER_SECOND = 1.0
_BASELINE = "tour"
_SLOWED_SECONDS = 0.05
_LEAST_TROUBLE_SECONDS = 100
_UNDER_WAY = frozenset({"open", "accepted", "implemented"})
_VALIDATION_SECONDS = 600
_CHANNELS = ("slack", "email", "pagerduty")


class Narrator:
    """Prints each step with the time since the tour began."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, step: str, text: str) -> None:
        """Print one line."""
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        show(f"{minutes}:{seconds:02d}  {step:<10} {text}")


def run_tour(stack: Stack, narrator: Narrator) -> None:
    """Run the whole loop; the demo's faults are off at the end, even after an error."""
    say = narrator.say
    say("start", "the stack was running" if stack.was_running else "the stack is running now")
    outside = stack.find_outside()
    if outside:
        say("start", f"{_join(sorted(outside))}: messages of this tour go to the real service, as secrets/ says")
    stack.heal_demo()
    try:
        score = _watch(stack, narrator)
        _keep_a_baseline(stack, narrator)
        alertname, broken, identifier = _break(stack, narrator, score)
        _prove(stack, narrator, identifier)
    finally:
        stack.heal_demo()
    stack.decide("implement", identifier)
    say("fix", "the queries are fast again, as the recommendation asked for, and it is marked as implemented")
    say("load test", f"fixed: {_describe(stack.test_load('--test', 'tour'))}")
    _watch_recovery(stack, narrator, alertname, broken, score)
    _pass_the_gate(stack, narrator)
    _await_validation(stack, narrator, identifier)
    _fail_the_gate(stack, narrator)
    _list_pages(stack, narrator)


def _keep_a_baseline(stack: Stack, narrator: Narrator) -> None:
    narrator.say("load test", f"healthy: {_describe(stack.test_load('--test', 'tour'))}")
    stack.test_load("--test", "gate", "--repeat", "5", "--save-baseline", _BASELINE)
    narrator.say("baseline", f"five runs are kept as the baseline {_BASELINE!r}")


def _break(stack: Stack, narrator: Narrator, score: float) -> tuple[str, float, str]:
    """Break the demo; return the alert's name, the lowered health score, and the id of what is recommended."""
    began = time.monotonic()
    stack.break_demo(slow_queries=_SLOW_SECONDS)
    narrator.say("break", f"slow queries: the database now waits {_SLOW_SECONDS:g} s inside every SELECT")
    alertname = _watch_alert(stack, narrator)
    broken, identifier = _watch_analysis(stack, narrator, score)
    # What is measured after the change is compared with at least three rate windows before it.
    time.sleep(max(0.0, _LEAST_TROUBLE_SECONDS - (time.monotonic() - began)))
    return alertname, broken, identifier


def _prove(stack: Stack, narrator: Narrator, identifier: str) -> None:
    # One that an interrupted tour accepted stays so.
    if stack.recommendation(identifier)["state"] == "open":
        stack.decide("accept", identifier)
    narrator.say("accept", f"{identifier}: it will be implemented; first the proof")
    found = stack.prove(identifier, slow_queries=_SLOW_SECONDS)
    routes = found["load"]["routes"]
    same = sum(route["is_same"] for route in routes)
    narrator.say("prove", f"{found['verdict']}: {found['words']}")
    narrator.say("prove", f"the incident's load was replayed: {same} of {len(routes)} routes at the original's rate")
    if found["verdict"] != "proved":
        raise StartError(f"The recommendation {identifier} was not proved: {found['words']}")


def _pass_the_gate(stack: Stack, narrator: Narrator) -> None:
    code, verdict = stack.gate(_BASELINE)
    if code:
        raise StartError(f"The gate did not let the same build pass: {verdict}")
    narrator.say("gate", f"the same build passes: {verdict}")


def _fail_the_gate(stack: Stack, narrator: Narrator) -> None:
    """Show a regression that no alert sees: it is far below every limit."""
    try:
        stack.break_demo(slow_queries=_SLOWED_SECONDS)
        code, verdict = stack.gate(_BASELINE)
    finally:
        stack.heal_demo()
    if not code:
        raise StartError(f"The gate let a slowed build pass: {verdict}")
    narrator.say(
        "gate", f"a build that is {quantity(_SLOWED_SECONDS, 'seconds')} slower fails with code {code}: {verdict}"
    )


def _await_validation(stack: Stack, narrator: Narrator, identifier: str) -> None:
    """Wait until the analyzer has measured what the change brought: ten rate windows after it."""

    def decided() -> dict[str, Any] | None:
        found = stack.recommendation(identifier)
        return found if found["state"] not in _UNDER_WAY else None

    found = wait_for(decided, "the measured effect of the change", _VALIDATION_SECONDS) or {}
    values, expected = found["values"], found["improvement"]
    if found["state"] != "validated":
        raise StartError(f"The recommendation {identifier} is {found['state']}: {values.get('reason', '')}")
    promise = f"expected {expected['ratio']:.0%}, " if expected else ""
    proved, measured = values["proved"]["gain"], values["measured"]["gain"]
    narrator.say("validate", f"validated: {promise}proved {proved:.0%}, measured {measured:.0%}")


def _watch(stack: Stack, narrator: Narrator) -> float:
    traffic = wait_for(lambda: stack.query(f"{_TRAFFIC} > {_ENOUGH_PER_SECOND}"), "the steady load")
    # Wait until the effects of an earlier fault have left the one-minute windows.
    wait_for(lambda: not stack.query(_ALERT), "the alerts of an earlier fault to end")
    healthy = wait_for(lambda: stack.query(f"{_HEALTH} > 90"), "the demo to be healthy")
    targets, rate = stack.query("count(up == 1)")[0]["value"], traffic[0]["value"]
    score = float(healthy[0]["value"])
    narrator.say(
        "watch", f"{targets:.0f} targets are up, {rate:.1f} requests per second, the demo's health is {score:.0f}"
    )
    return score


def _watch_alert(stack: Stack, narrator: Narrator) -> str:
    before = _count(stack)
    (alert,) = wait_for(lambda: stack.query(_ALERT), "the alert to fire")[:1]
    alertname = str(alert["metric"]["alertname"])
    narrator.say("alert", f"{alertname} fires, {alert['metric']['severity']}")
    newest = _wait_for_messages(stack, alertname, "firing", before)
    for channel in _CHANNELS:
        narrator.say("notify", f"{channel}: {newest[channel]}")
    return alertname


def _watch_analysis(stack: Stack, narrator: Narrator, score: float) -> tuple[float, str]:
    """Return the lowered health score, and the id of what is recommended first."""
    lower = wait_for(lambda: stack.query(f"{_HEALTH} < {score}"), "a lower health score")
    broken = float(lower[0]["value"])
    narrator.say("analyze", f"the demo's health falls from {score:.0f} to {broken:.0f}")
    narrator.say("cause", wait_for(stack.cause, "a cause"))
    found = wait_for(lambda: stack.query(_RECOMMENDATION), "a recommendation")
    for series in found:
        narrator.say("recommend", f"{series['metric']['priority']}: {series['metric']['title']}")
    identifier = str(found[0]["metric"]["id"])
    if improvement := stack.recommendation(identifier)["improvement"]:
        bounds = f"{improvement['low']:.0%} to {improvement['high']:.0%}"
        narrator.say("recommend", f"expected: {improvement['of']} less by {improvement['ratio']:.0%} ({bounds})")
    return broken, identifier


def _watch_recovery(stack: Stack, narrator: Narrator, alertname: str, broken: float, score: float) -> None:
    before = _count(stack)
    back = wait_for(lambda: stack.query(f"{_HEALTH} >= {score}"), "the health score to come back")
    narrator.say("recover", f"the demo's health is back from {broken:.0f} to {back[0]['value']:.0f}")
    newest = _wait_for_messages(stack, alertname, "resolved", before)
    for channel in _CHANNELS:
        narrator.say("resolved", f"{channel}: {newest[channel]}")


def _count(stack: Stack) -> dict[str, tuple[float, float]]:
    """Return the requests so far, and those that failed, of each channel that goes to its real service."""
    return {channel: stack.count_requests(channel) for channel in stack.find_outside()}


def _wait_for_messages(
    stack: Stack, alertname: str, status: str, before: dict[str, tuple[float, float]]
) -> dict[str, str]:
    """Return what each channel got: the message's first line, or where it was sent if that is not the inbox."""

    def newest() -> dict[str, str] | None:
        found = stack.find_messages(alertname=alertname)
        latest = {message["channel"]: message for message in reversed(found)}
        lines = {name: one["text"].splitlines()[0] for name, one in latest.items() if one["status"] == status}
        lines |= {name: line for name in before if (line := _sent_outside(stack, name, before[name]))}
        return lines if all(channel in lines for channel in _CHANNELS) else None

    return wait_for(newest, f"the {status} notification by {_join(_CHANNELS)}") or {}


def _sent_outside(stack: Stack, channel: str, before: tuple[float, float]) -> str:
    """Return what became of the requests to a real service since `before`; empty where there was none."""
    requests, failed = (now - then for now, then in zip(stack.count_requests(channel), before, strict=True))
    if failed:
        return f"the real service refused it or cannot be reached ({failed:g} of {requests:g} requests failed)"
    return "sent to the real service, which took it" if requests else ""


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)


def _describe(result: LoadResult) -> str:
    return f"{result.requests} requests, {result.failed} failed, 95% within {quantity(result.p95_seconds, 'seconds')}"


def _list_pages(stack: Stack, narrator: Narrator) -> None:
    narrator.say("done", "the loop is closed; the pages of the stack, which `perfloop down` stops:")
    for part in ("grafana", "analyzer", "inbox", "prometheus", "demo"):
        if part in stack.urls:
            narrator.say("", f"{part}: {stack.urls[part]}")
