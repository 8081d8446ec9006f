"""What watches: targets, rules, recorded series, retention, dashboards, and limits that are the same everywhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from perfloop.check import advice
from perfloop.check.asking import Answer
from perfloop.check.findings import UnansweredError, failed, passed, unknown
from perfloop.check.sources import in_words
from perfloop.stack import remote_state, validation
from perfloop_base.durations import parse_duration
from perfloop_base.promql import longest_range, quote
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources

_RANGE = re.compile(r"\[([0-9a-z]+)")
_LIMITS = ("exporter thresholds", "prometheus rules", "analyzer thresholds", "dashboard files", "grafana dashboards")


class _Target(Answer):
    labels: dict[str, str]
    health: str
    lastError: str = ""  # noqa: N815 - Prometheus's own name


class _Targets(Answer):
    activeTargets: list[_Target]  # noqa: N815 - as above


class TargetsAnswer(Answer):
    """What `/api/v1/targets` answers."""

    data: _Targets


class _Rule(Answer):
    name: str
    type: str
    health: str = "unknown"
    query: str = ""
    lastError: str = ""  # noqa: N815 - as above


class _Group(Answer):
    rules: list[_Rule]


class _Groups(Answer):
    groups: list[_Group]


class RulesAnswer(Answer):
    """What `/api/v1/rules` answers."""

    data: _Groups


class _Managers(Answer):
    activeAlertmanagers: list[dict[str, Any]]  # noqa: N815 - as above


class ManagersAnswer(Answer):
    """What `/api/v1/alertmanagers` answers."""

    data: _Managers


class _Runtime(Answer):
    storageRetention: str  # noqa: N815 - as above


class RuntimeAnswer(Answer):
    """What `/api/v1/status/runtimeinfo` answers."""

    data: _Runtime


class _Board(Answer):
    uid: str


class BoardAnswer(Answer):
    """What Grafana answers about one dashboard."""

    dashboard: _Board


def look_at_configuration(sources: Sources) -> Iterator[Finding]:
    """Every file of the configuration is valid, and what is generated from them is not stale."""
    settings = sources.place.settings
    problems, changes = validation.check_sources(settings)
    stale = [f"{path} is stale" for path in changes.paths]
    if problems:
        yield failed(in_words(problems), advice.UNDERSTAND)
    elif stale:
        yield failed(in_words(stale), advice.APPLY)
    else:
        signals, slos = len(sources.thresholds.signals), len(sources.slos)
        yield passed(f"{signals} signals have limits, {slos} objectives are set, and every file is valid")


def look_at_limits(sources: Sources) -> Iterator[Finding]:
    """Exporter, rules, analyzer and dashboards use the limits that the files have."""
    sources.place.url("prometheus")  # raises why nothing can be asked, where nothing can
    who = "exporter, rules, analyzer and dashboards" if sources.place.has_stack else "rules and analyzer"
    if not sources.place.has_stack:
        sources.place.url("analyzer")
    yield from _compare(sources, lambda subject: subject in _LIMITS, f"{who} agree")


def look_at_routes(sources: Sources) -> Iterator[Finding]:
    """Prometheus sends to Alertmanager, whose configuration is the one of the files."""
    managers = sources.answer(ManagersAnswer, "prometheus", "/api/v1/alertmanagers").data.activeAlertmanagers
    wanted = sources.place.settings.alertmanagers if sources.place.has_stack else 1
    if len(managers) < wanted:
        yield failed(f"Prometheus sends alerts to {len(managers)} Alertmanagers, not {wanted}", advice.READ_PROMETHEUS)
        return
    if not sources.place.has_stack:
        yield unknown("only the Alertmanager of a stack here can be compared with its files", advice.START)
        return
    agreement = f"Prometheus sends to {len(managers)}, with the routes of alertmanager.yml and the channels of secrets/"
    yield from _compare(sources, lambda subject: subject.startswith("alertmanager"), agreement)


def _compare(sources: Sources, concerns: Callable[[str], bool], agreement: str) -> Iterator[Finding]:
    if sources.place.problem:
        raise UnansweredError(sources.place.problem)
    found = [one for one in sources.differences if concerns(one.subject)]
    differing = [f"{one.subject}: {problem}" for one in found if one.answered for problem in one.problems]
    silent = [f"{one.subject}: {problem}" for one in found if not one.answered for problem in one.problems]
    if differing:
        yield failed(in_words(differing), advice.APPLY)
    elif silent:
        yield unknown(in_words(silent), advice.STATUS)
    else:
        yield passed(agreement)


def look_at_targets(sources: Sources) -> Iterator[Finding]:
    """Every target is up; those of the service that is asked for, where one is."""
    targets = sources.answer(TargetsAnswer, "prometheus", "/api/v1/targets", {"state": "active"}).data.activeTargets
    service = sources.config.service
    chosen = [one for one in targets if not service or one.labels.get("service") == service]
    if not chosen:
        known = ", ".join(sorted({one.labels.get("service", "") for one in targets} - {""})) or "none"
        yield failed(f"Prometheus has no target of {service or 'anything'}; it has {known}", advice.ADD_TARGET)
        return
    down = [
        f"{one.labels.get('job')} {one.labels.get('instance')} is {one.health}: {one.lastError or 'not scraped yet'}"
        for one in chosen
        if one.health != "up"
    ]
    if down:
        yield failed(in_words(down), advice.STATUS)
    else:
        services = sorted({one.labels.get("service", "") for one in chosen} - {""})
        yield passed(f"targets up: {len(chosen)}, of {', '.join(services)}")


def look_at_services(sources: Sources) -> Iterator[Finding]:
    """A service is watched at all, and its requests are recorded."""
    if not sources.config.service and not sources.services:
        yield failed("no service publishes requests: only the stack itself is watched", advice.ADD_TARGET)
        return
    names = ", ".join(sources.services)
    recorded = "service_slo:slo_events:rate5m"
    silent = [one for one in sources.services if not sources.query(f"{recorded}{{service={quote(one)}}}")]
    if silent:
        yield failed(f"nothing is recorded of the requests of {', '.join(silent)}", advice.SEND_LOAD)
    else:
        yield passed(f"requests of {names} are recorded for its objectives")


def look_at_alerts(sources: Sources) -> Iterator[Finding]:
    """Rules and alerts are loaded, and each is evaluated."""
    rules = [one for group in _rules(sources).data.groups for one in group.rules]
    alerts = [one for one in rules if one.type == "alerting"]
    broken = [f"{one.name}: {one.lastError or one.health}" for one in rules if one.health == "err"]
    if not alerts:
        yield failed("Prometheus has no alert loaded", advice.APPLY)
    elif broken:
        yield failed(f"rules that cannot be evaluated: {in_words(broken)}", advice.READ_PROMETHEUS)
    elif all(one.health == "unknown" for one in rules):
        yield unknown("no rule has been evaluated yet", advice.STATUS)
    else:
        yield passed(f"{len(alerts)} alerts and {len(rules) - len(alerts)} recorded series are evaluated")


def look_at_retention(sources: Sources) -> Iterator[Finding]:
    """Prometheus keeps data for as long as the longest window of any rule."""
    queries = [one.query for group in _rules(sources).data.groups for one in group.rules]
    if not queries:
        yield unknown("Prometheus has no rule whose windows could be compared", advice.APPLY)
        return
    longest = max(map(_range_of, queries))
    stated = sources.answer(RuntimeAnswer, "prometheus", "/api/v1/status/runtimeinfo").data.storageRetention
    times = [part.strip() for part in stated.split(" or ")]
    kept = next((seconds for seconds in map(_seconds, times) if seconds), None)
    by_size = [part for part in times if _seconds(part) is None]
    if kept is None:
        yield unknown(f"Prometheus limits its data by size alone ({stated}): for how long is not known", advice.RETAIN)
    elif kept < longest:
        yield failed(f"data is kept for {span(kept)}, and a rule looks back {span(longest)}", advice.RETAIN)
    elif by_size and sources.query("prometheus_tsdb_size_retentions_total > 0"):
        yield failed(f"data was dropped for its size ({stated}) before {span(longest)} were over", advice.RETAIN)
    else:
        limit = f"; nothing was dropped for the limit of {by_size[0]} yet" if by_size else ""
        yield passed(f"data is kept for {span(kept)}, the longest window of a rule is {span(longest)}{limit}")


def look_at_remote_write(sources: Sources) -> Iterator[Finding]:
    """Every sample reaches the stores that Prometheus writes to."""
    sources.query("vector(1)")  # raises where Prometheus does not answer: one that hangs is waited for once
    state = remote_state.look(sources.place.url("prometheus"), lambda: "")
    if state.facts is None:
        yield passed("Prometheus writes to no other store: what it keeps itself is all there is")
    elif state.troubles:
        yield failed(in_words(list(state.troubles)), advice.UNDERSTAND)
    else:
        yield passed(state.summary)


def look_at_dashboards(sources: Sources) -> Iterator[Finding]:
    """Grafana has every dashboard of the configuration."""
    directory = sources.place.settings.configuration / "grafana" / "dashboards"
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))]
    if not boards:
        yield failed(f"{directory} has no dashboard", advice.UNDERSTAND)
        return
    if "grafana" not in sources.place.urls and not sources.place.problem:
        yield unknown("Grafana does not run in this stack, or its address is not known", advice.GET_GRAFANA)
        return
    missing = []
    for board in boards:
        try:
            sources.answer(BoardAnswer, "grafana", f"/api/dashboards/uid/{board['uid']}")
        except UnansweredError as error:
            if "status 404" not in str(error):
                raise
            missing.append(str(board["title"]))
    if missing:
        yield failed(f"Grafana lacks {', '.join(missing)}", advice.APPLY)
    else:
        yield passed(f"Grafana has all {len(boards)} dashboards")


def _rules(sources: Sources) -> RulesAnswer:
    return sources.answer(RulesAnswer, "prometheus", "/api/v1/rules")


def _range_of(query: str) -> float:
    try:
        return longest_range(query)
    except ValueError:  # PromQL of a newer Prometheus: the ranges are in brackets there too
        return max((_seconds(text) or 0.0 for text in _RANGE.findall(query)), default=0.0)


def _seconds(text: str) -> float | None:
    try:
        return parse_duration(text)
    except ValueError:
        return None
