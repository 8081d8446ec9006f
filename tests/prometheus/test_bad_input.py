# ruff: noqa: E501, ISC004  # the expected sentences stand whole, so that they can be searched for
"""Bad input is told with its file, its line and the rule it breaks; all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.thresholds import FIELDS
from perfloop_rules.errors import RulebookError
from perfloop_rules.notifications import check_notifications
from perfloop_rules.packs import read_packs
from perfloop_rules.slos import read_slos
from perfloop_rules.thresholds import OVERRIDE_FIELDS, SIGNAL_FIELDS, read_thresholds

if TYPE_CHECKING:
    from pathlib import Path

SIGNAL = """signals:
  - signal: error_ratio
    title: Failed requests
    component: api
    kind: red
    unit: ratio
    direction: above
    warning: 0.05
    critical: 0.1
    for: 30s
    owner: api
    alert: ApiErrorsHigh
    category: errors
    by: [service]
    record: service:errors:ratio_rate1m
    expr: errors
"""
THRESHOLDS = {
    "a threshold that is not a number": (
        SIGNAL.replace("warning: 0.05", "warning: much"),
        "prometheus/thresholds.yml:8: signal error_ratio: warning has the value 'much'; it must be a number, 0 or more.",
    ),
    "a negative threshold": (
        SIGNAL.replace("critical: 0.1", "critical: -1"),
        "prometheus/thresholds.yml:9: signal error_ratio: critical has the value -1; it must be a number, 0 or more.",
    ),
    "critical before warning": (
        SIGNAL.replace("critical: 0.1", "critical: 0.01"),
        "prometheus/thresholds.yml:9: signal error_ratio: critical 0.01 is reached before warning 0.05; critical must lie"
        " above it.",
    ),
    "no duration": (
        SIGNAL.replace("for: 30s", "for: soon"),
        "prometheus/thresholds.yml:10: signal error_ratio: for has the value 'soon'; it must be a duration such as 30s,"
        " 5m or 1h.",
    ),
    "an unknown field": (
        SIGNAL + "    colour: red\n",
        "prometheus/thresholds.yml:17: signal error_ratio: unknown field 'colour'; it takes",
    ),
    "an unknown component": (
        SIGNAL.replace("component: api", "component: moon"),
        "prometheus/thresholds.yml:4: signal error_ratio: component has the value 'moon'; it must be one of api, database,"
        " cache, model, vector, cpu, memory, disk, network.",
    ),
    "an override of an unknown signal": (
        SIGNAL + "overrides:\n  - {signal: eror_ratio, service: shop, warning: 1}\n",
        "prometheus/thresholds.yml:18: override of eror_ratio: no such signal; the signals are error_ratio.",
    ),
    "a route override of a signal without routes": (
        SIGNAL + "overrides:\n  - {signal: error_ratio, route: /a, warning: 1}\n",
        "prometheus/thresholds.yml:18: override of error_ratio: the signal is not measured per route; override it per"
        " service.",
    ),
    "a key twice": (
        SIGNAL.replace("    owner: api\n", "    owner: api\n    owner: other\n"),
        "prometheus/thresholds.yml:2: the key 'owner' stands here twice; the second would silently win.",
    ),
    "broken YAML": (SIGNAL + " x: [", "prometheus/thresholds.yml:17: not valid YAML: "),
}
PACK = """pack: stack
alerts:
  - alert: A
    summary: S
    description: D.
    category: stack
    component: stack
    unit: number
    expr: up < $limit
    test: {series: {up: x}}
"""
LIMITS = SIGNAL + "limits:\n  A: {warning: 1, for: 15s, owner: o}\n"


def explain(folder: Path, text: str) -> str:
    """Return what reading a thresholds file complains of."""
    (folder / "thresholds.yml").write_text(text)
    with pytest.raises(RulebookError) as caught:
        read_thresholds(folder / "thresholds.yml")
    return str(caught.value)


@pytest.mark.parametrize("case", THRESHOLDS)
def test_thresholds(tmp_path: Path, case: str):
    """Each mistake has its sentence."""
    text, sentence = THRESHOLDS[case]
    assert sentence in explain(tmp_path, text)


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    """Three mistakes are three lines, not three runs."""
    text = SIGNAL.replace("0.05", "a").replace("0.1\n", "b\n").replace("kind: red", "kind: blue")
    assert len(explain(tmp_path, text).splitlines()) == 3


PACKS = {
    "an alert without numbers": (
        PACK,
        SIGNAL,
        "prometheus/packs/stack.yml:3: A has no entry under `limits` of prometheus/thresholds.yml.",
    ),
    "numbers without an alert": (
        PACK,
        LIMITS + "  B: {warning: 1, owner: o}\n",
        "prometheus/thresholds.yml:19: limit B: no pack has an alert of this name.",
    ),
    "a number in the expression": (
        PACK.replace("$limit", "1"),
        LIMITS,
        "prometheus/packs/stack.yml:9: alert A: expr compares nothing with $limit; the number belongs into thresholds.yml.",
    ),
    "an alert without a test": (
        PACK.replace("    test: {series: {up: x}}\n", ""),
        LIMITS,
        "prometheus/packs/stack.yml:3: alert A: test.series is missing; every alert is proven to fire",
    ),
}


@pytest.mark.parametrize("case", PACKS)
def test_packs(tmp_path: Path, case: str):
    """A pack and its numbers must fit each other."""
    pack, thresholds, sentence = PACKS[case]
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "stack.yml").write_text(pack)
    (tmp_path / "thresholds.yml").write_text(thresholds)
    with pytest.raises(RulebookError) as caught:
        read_packs(tmp_path / "packs", read_thresholds(tmp_path / "thresholds.yml").limits)
    assert sentence in str(caught.value)


SLO = """window: 30d
slos:
  - slo: availability
    title: T
    alert: A
    objective: 0.999
    component: api
    owner: api
    total: sum(rate(all[$window]))
    bad: sum(rate(bad[$window]))
"""
SLOS = {
    "an objective of 100 %": (
        SLO.replace("0.999", "1"),
        "prometheus/slos.yml:6: SLO availability: objective has the value 1; it must lie between 0 and 1.",
    ),
    "both good and bad": (
        SLO + "    good: x[$window]\n",
        "SLO availability: exactly one of bad and good must be given.",
    ),
    "a fixed window": (
        SLO.replace("bad[$window]", "bad[5m]"),
        "prometheus/slos.yml:10: SLO availability: bad does not say $window, so it cannot be asked over several windows.",
    ),
    "another period": (SLO.replace("30d", "7d"), "prometheus/slos.yml:1: window has the value '7d'"),
    "a limit that limits nothing": (
        SLO + "    within: 1\n",
        "prometheus/slos.yml:11: SLO availability: neither good nor bad says $within, so that its within limits nothing.",
    ),
    "a limit that is nowhere": (
        SLO.replace("bad[$window]", "bad{$within}[$window]"),
        "prometheus/slos.yml:10: SLO availability: bad says $within, but there is no within.",
    ),
    "a limit of no seconds": (
        SLO.replace("bad[$window]", "bad{$within}[$window]") + "    within: 0\n",
        "prometheus/slos.yml:11: SLO availability: within has the value 0; it must be above 0 seconds.",
    ),
}


@pytest.mark.parametrize("case", SLOS)
def test_slos(tmp_path: Path, case: str):
    """An objective that nobody can keep, or that cannot be computed, is refused."""
    text, sentence = SLOS[case]
    (tmp_path / "slos.yml").write_text(text)
    with pytest.raises(RulebookError) as caught:
        read_slos(tmp_path / "slos.yml")
    assert sentence in str(caught.value)


NOTIFICATIONS = {
    "an address with a newline": (
        'receivers:\n  - name: email\n    email_configs:\n      - to: "a@example.com\\nbcc: b@example.com"\n',
        "alertmanager/alertmanager.yml:4: receiver email: to holds 'a@example.com\\nbcc: b@example.com'; it must be an"
        " e-mail address on one line.",
    ),
    "a receiver without a secret": (
        "receivers:\n  - name: slack\n    slack_configs:\n      - channel: '#a'\n",
        "alertmanager/alertmanager.yml:4: receiver slack: slack_configs has none of api_url, api_url_file: it has no secret"
        " and cannot deliver.",
    ),
    "a pager without a key": (
        "receivers:\n  - name: p\n    pagerduty_configs:\n      - severity: critical\n",
        "alertmanager/alertmanager.yml:4: receiver p: pagerduty_configs has none of routing_key, routing_key_file",
    ),
    "a route to nobody": (
        "route:\n  receiver: a\n  routes:\n    - receiver: b\nreceivers:\n  - name: a\n",
        "alertmanager/alertmanager.yml:4: a route names the receiver 'b'; there are a.",
    ),
}


@pytest.mark.parametrize("case", NOTIFICATIONS)
def test_notifications(tmp_path: Path, case: str):
    """What would only come out at night, when a message is to be sent, comes out in the check."""
    text, sentence = NOTIFICATIONS[case]
    (tmp_path / "alertmanager.yml").write_text(text)
    assert [problem for problem in check_notifications(tmp_path / "alertmanager.yml") if sentence in problem]


def test_the_committed_configuration_has_no_problem(checkout: Path):
    """What ships is clean."""
    assert check_notifications(checkout / "alertmanager" / "alertmanager.yml") == []


def test_generator_and_exporter_know_the_same_fields():
    """A field that one of them takes, the other does not refuse."""
    assert FIELDS["signals"] == set(SIGNAL_FIELDS)
    assert FIELDS["overrides"] == set(OVERRIDE_FIELDS)
