"""Which trials each alert gets: those of thresholds.yml, of slos.yml and of the packs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_base.burn_rates import BURN_RATES, WINDOWS, BurnRate
from perfloop_base.promql import quote
from perfloop_rules.slo_rules import BASE, DOWN, QUIET_MINUTES, ratio
from perfloop_rules.trials import STEP_SECONDS, Case, Phases, case, long_enough

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_base.slos import Slo
    from perfloop_base.thresholds import AlertLimit, Override, Severity, Signal, Thresholds
    from perfloop_rules.packs import Pack, PackAlert

# Just beyond a limit: one part in a hundred.
BEYOND = {"above": 1.01, "below": 0.99}
BEYOND_QUIET_MINUTES = QUIET_MINUTES + 2
EVENTS = f"service_slo:slo_events:rate{BASE}"
LABEL_VALUES = {"service": "shop", "instance": "web1:9100", "db_system_name": "sqlite"}


def threshold_cases(thresholds: Thresholds) -> list[Case]:
    """Return the tests of alerts/thresholds.yml."""
    cases = []
    for signal in thresholds.signals:
        overrides = thresholds.overrides_of(signal.name)
        own = {override.service for override in overrides}
        labels = {label: LABEL_VALUES.get(label, "a") for label in signal.by}
        if labels["service"] in own:
            labels["service"] = "another"
        for severity, limit in signal.limits.items():
            who = f'alertname="{signal.alert}",severity="{severity}",override=""'
            cases += _limit_cases(signal, severity, signal.record, labels, (limit, who))
        series = {_series(signal.record, labels): "x"} | _busy(signal, labels)
        who = f'alertname="{signal.alert}",override=""'
        cases += _pair_cases(who, series, Phases(_both(signal.direction, signal.limits)))
        for override in overrides:
            cases += _override_cases(signal, override)
    return cases


def _override_cases(signal: Signal, override: Override) -> list[Case]:
    labels = {label: LABEL_VALUES.get(label, "a") for label in signal.by}
    labels |= {"service": override.service or labels["service"]}
    labels |= {"http_route": override.route} if override.route else {}
    record = signal.record_by_route if override.route else signal.record
    which = f"{override.service}{override.route}"
    return [
        one
        for severity, limit in override.limits.items()
        for one in _limit_cases(
            signal,
            f"{severity} of {which}",
            record,
            labels,
            (limit, f'alertname="{signal.alert}",severity="{severity}",override={quote(which)}'),
        )
    ]


def _limit_cases(
    signal: Signal, title: str, record: str, labels: dict[str, str], limit_and_selector: tuple[float, str]
) -> list[Case]:
    limit, selector = limit_and_selector
    series = {_series(record, labels): "x"}
    phases = Phases((limit, limit * BEYOND[signal.direction], limit))
    sentence = f"{signal.alert} {title}: quiet at its limit, fires beyond, resolves"
    if not signal.traffic:
        return [case(sentence, series, phases, {selector: (0, 1, 0)})]
    return [
        case(sentence, series | _busy(signal, labels), phases, {selector: (0, 1, 0)}),
        case(
            f"{signal.alert} {title}: quiet while there are too few events to judge by",
            series | _busy(signal, labels, 0.99),
            phases,
            {selector: (0, 0, 0)},
        ),
    ]


def _busy(signal: Signal, labels: Mapping[str, str], share: float = 1.01) -> dict[str, str]:
    """Return the traffic that a signal needs to be judged, or a share of it."""
    if not signal.traffic:
        return {}
    which = _series(signal.traffic, {label: labels[label] for label in signal.by})
    return {which: str(signal.minimum_events / 60 * share)}


def _series(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ",".join(f"{key}={quote(value)}" for key, value in labels.items()) + "}"


def slo_cases(slos: Iterable[Slo], alerts: Mapping[str, str]) -> list[Case]:
    """Return the tests of alerts/slos.yml."""
    return [
        one
        for slo in slos
        for one in (
            *(_burn_case(slo, burn) for burn in BURN_RATES),
            *_pair_cases(*_burning_series(slo)),
            _reported_case(slo, alerts.get(slo.signal, DOWN)),
            _idle_case(slo),
            _spent_case(slo),
        )
    ]


def _slo_series(slo: Slo, record: str) -> str:
    return _series(record, {"service": "shop", "slo": slo.name})


def _burn_case(slo: Slo, burn: BurnRate) -> Case:
    """Both windows must burn: the phases are neither, both, only the long one, only the short one."""
    limit = burn.factor * slo.budget
    below, above = limit * 0.99, limit * 1.01
    phases = Phases((0, 1, 2, 3), 3)
    one = case(
        f"{slo.alert} {burn.severity}: {burn.factor:g} times too fast in {burn.long} and {burn.short}, not just below",
        {_slo_series(slo, EVENTS): "10"},
        phases,
        {f'alertname="{slo.alert}",severity="{burn.severity}"': (0, 1, 0, 0)},
    )
    drawn = {burn.long: (below, above, above, below), burn.short: (below, above, below, above)}
    steps = phases.steps - 1
    one["input_series"] += [
        {"series": _slo_series(slo, ratio(window)), "values": " ".join(f"{value:.12g}+0x{steps}" for value in values)}
        for window, values in drawn.items()
    ]
    return one


def _burning_series(slo: Slo) -> tuple[str, dict[str, str], Phases]:
    """Return every window burning as fast as x: not at all, beyond what is critical, beyond what warns, …."""
    series = {_slo_series(slo, ratio(window)): "x" for window in WINDOWS}
    fastest, slowest = (pick(burn.factor for burn in BURN_RATES) * slo.budget * 1.01 for pick in (max, min))
    events = {_slo_series(slo, EVENTS): "10"}
    return f'alertname="{slo.alert}"', series | events, Phases((0, fastest, slowest, fastest, 0), BEYOND_QUIET_MINUTES)


def _reported_case(slo: Slo, reporter: str) -> Case:
    """What another alert paged about is not reported again when it is over, unless it goes on without that alert.

    The phases: nothing; the fault, reported; fixed, with every window but the shortest still full of it; back, and too
    small for the other alert.
    """
    phases = Phases((0, 1, 2, 3), BEYOND_QUIET_MINUTES)
    steps, ratios = phases.steps - 1, (0.0, 1.0, 1.0, 1.0)
    one = case(
        f"{slo.alert}: what {reporter} reported is not reported again after it, unless it goes on",
        {_slo_series(slo, EVENTS): "10"},
        phases,
        {f'alertname="{slo.alert}"': (0, 0, 0, 1)},  # the critical one alone
    )
    drawn = {_slo_series(slo, ratio(window)): ratios for window in WINDOWS if window != BASE}
    drawn[_slo_series(slo, ratio(BASE))] = (0.0, 1.0, 0.0, 1.0)
    one["input_series"] += [
        {"series": series, "values": " ".join(f"{value:g}+0x{steps}" for value in values)}
        for series, values in drawn.items()
    ]
    labels = {"alertname": reporter, "service": "shop", "severity": "critical", "alertstate": "firing"}
    fires = f"_x{phases.steps} 1+0x{steps} _x{2 * phases.steps}"
    one["input_series"].append({"series": _series("ALERTS", labels), "values": fires})
    return one


def _idle_case(slo: Slo) -> Case:
    """With too few events in the long window nothing fires, however bad they were."""
    series = {_slo_series(slo, ratio(window)): "1" for window in WINDOWS}
    phases = Phases((0, 0), 3)
    events = slo.minimum_events / (phases.minutes * 60 * len(phases.values)) * 0.9
    return case(
        f"{slo.alert}: quiet while there are too few events to judge by",
        series | {_slo_series(slo, EVENTS): str(events)},
        phases,
        {f'alertname="{slo.alert}"': (0, 0)},
    )


def _spent_case(slo: Slo) -> Case:
    return case(
        f"ErrorBudgetSpent for {slo.name}: quiet with a hundredth left, fires at nothing, resolves",
        {
            _slo_series(slo, "service_slo:slo_error_budget_left:ratio"): "x",
            _slo_series(slo, EVENTS): "10",
        },
        Phases((0.01, 0.0, 0.01), 8),
        {f'alertname="ErrorBudgetSpent",slo="{slo.name}"': (0, 1, 0)},
    )


def pack_cases(pack: Pack, limits: Mapping[str, AlertLimit]) -> list[Case]:
    """Return the tests of the alerts of one pack."""
    cases = []
    for alert in pack.alerts:
        if alert.fixed_severity:
            always = {f'alertname="{alert.name}"': (1, 1)}
            cases.append(case(f"{alert.name}: always fires", alert.trial.series, Phases((0, 0)), always))
            continue
        limit = limits[alert.name]
        phases = long_enough(alert.with_limit(1), limit.hold)
        cases += [_pack_case(alert, severity, value, phases) for severity, value in limit.limits.items()]
        # A rate passes the warning's limit some time before the critical one: then both begin, rightly.
        if alert.trial.hot is None and alert.trial.calm is None and "[" not in alert.expr:
            who = f'alertname="{alert.name}"'
            cases += _pair_cases(who, alert.trial.series, replace(phases, values=_both(alert.direction, limit.limits)))
    return cases


def _both(direction: str, limits: Mapping[str, float] | Mapping[Severity, float]) -> tuple[float, ...]:
    """Return values just at the warning, beyond the critical limit, between both, beyond, and at the warning again."""
    if not {"warning", "critical"} <= set(limits) or limits["warning"] == limits["critical"]:
        return ()
    beyond = BEYOND[direction]
    calm = limits["warning"] / beyond
    return (calm, limits["critical"] * beyond, limits["warning"] * beyond, limits["critical"] * beyond, calm)


def _pair_cases(who: str, series: Mapping[str, str], phases: Phases) -> list[Case]:
    """Return the test that one fault is one alert; none without values between the limits."""
    if not phases.values:
        return []
    fires = {"critical": (0, 1, 0, 1, 0), "warning": (0, 0, 1, 1, 0)}
    sentence = "while the critical one fires no warning begins, and one that fires goes on"
    return [case(f"{who}: {sentence}", series, phases, {f'{who},severity="{one}"': row for one, row in fires.items()})]


def _pack_case(alert: PackAlert, severity: str, limit: float, length: Phases) -> Case:
    beyond, trial = BEYOND[alert.direction], alert.trial
    length = replace(length, minutes=trial.minutes, step_seconds=STEP_SECONDS) if trial.minutes else length
    hot = limit * beyond if trial.hot is None else trial.hot
    calm = limit / beyond if trial.calm is None else trial.calm
    return case(
        f"{alert.name} {severity}: quiet at {calm:.6g}, fires at {hot:.6g}, resolves",
        {name: words.replace("$limit", f"{limit:.15g}") for name, words in trial.series.items()},
        replace(length, values=(calm, hot, calm)),
        {f'alertname="{alert.name}",severity="{severity}"': (0, 1, 0)},
    )
