"""What silences what: posted to a real Alertmanager, read back from it."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from tests.support.alerting_chain import Chain, fetch, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
CASES: dict[str, tuple[dict[str, str], dict[str, str], bool]] = {
    "critical silences the warning of the same alert and service": (
        {"alertname": "A", "service": "shop", "severity": "critical"},
        {"alertname": "A", "service": "shop", "severity": "warning"},
        True,
    ),
    "warning silences information": (
        {"alertname": "A", "service": "shop", "severity": "warning"},
        {"alertname": "A", "service": "shop", "severity": "info"},
        True,
    ),
    "critical says nothing of another service": (
        {"alertname": "A", "service": "shop", "severity": "critical"},
        {"alertname": "A", "service": "other", "severity": "warning"},
        False,
    ),
    "critical says nothing of another alert": (
        {"alertname": "A", "service": "shop", "severity": "critical"},
        {"alertname": "B", "service": "shop", "severity": "warning"},
        False,
    ),
    "warning never silences critical": (
        {"alertname": "A", "service": "shop", "severity": "warning"},
        {"alertname": "A", "service": "shop", "severity": "critical"},
        False,
    ),
    "a service that is down silences what it last looked like": (
        {"alertname": "ServiceDown", "service": "shop", "host": "web1", "severity": "critical"},
        {"alertname": "ApiErrorsHigh", "service": "shop", "severity": "critical"},
        True,
    ),
    "a service that is down silences its targets": (
        {"alertname": "ServiceDown", "service": "shop", "host": "web1", "severity": "critical"},
        {"alertname": "TargetDown", "service": "shop", "host": "web1", "severity": "warning"},
        True,
    ),
    "a service that is down says nothing of others": (
        {"alertname": "ServiceDown", "service": "shop", "host": "web1", "severity": "critical"},
        {"alertname": "ApiErrorsHigh", "service": "other", "severity": "critical"},
        False,
    ),
    "one dead instance of several silences nothing": (
        {"alertname": "TargetDown", "service": "shop", "host": "web1", "severity": "warning"},
        {"alertname": "ApiErrorsHigh", "service": "shop", "severity": "critical"},
        False,
    ),
    "a dead host silences the services on it": (
        {"alertname": "HostDown", "service": "host", "host": "web1", "severity": "critical"},
        {"alertname": "ServiceDown", "service": "shop", "host": "web1", "severity": "critical"},
        True,
    ),
    "a dead host says nothing of services elsewhere": (
        {"alertname": "HostDown", "service": "host", "host": "web1", "severity": "critical"},
        {"alertname": "ServiceDown", "service": "shop", "host": "web2", "severity": "critical"},
        False,
    ),
    "a page about slow answers silences the page about their budget": (
        {"alertname": "ApiResponseTimeHigh", "service": "shop", "severity": "critical"},
        {"alertname": "LatencyBudgetBurning", "service": "shop", "severity": "critical"},
        True,
    ),
    "a page about errors silences the page about their budget": (
        {"alertname": "ApiErrorsHigh", "service": "shop", "severity": "critical"},
        {"alertname": "AvailabilityBudgetBurning", "service": "shop", "severity": "critical"},
        True,
    ),
    "critical without a service silences nothing": (
        {"alertname": "B", "severity": "critical"},
        {"alertname": "B", "severity": "warning"},
        False,
    ),
    "warning without a service silences no information": (
        {"alertname": "C", "severity": "warning"},
        {"alertname": "C", "severity": "info"},
        False,
    ),
    "a service that is down, but has no name, silences nothing": (
        {"alertname": "ServiceDown", "severity": "critical"},
        {"alertname": "Nameless", "severity": "critical"},
        False,
    ),
    "a host that is down, but has no name, silences nothing": (
        {"alertname": "HostDown", "service": "host", "severity": "critical"},
        {"alertname": "TargetDown", "service": "shop", "severity": "warning"},
        False,
    ),
    "a page about slow answers of no service silences no budget": (
        {"alertname": "ApiResponseTimeHigh", "severity": "critical"},
        {"alertname": "LatencyBudgetBurning", "severity": "critical"},
        False,
    ),
    "a page about errors of no service silences no budget": (
        {"alertname": "ApiErrorsHigh", "severity": "critical"},
        {"alertname": "AvailabilityBudgetBurning", "severity": "critical"},
        False,
    ),
    "a page about one route says nothing of the service's budget": (
        {"alertname": "ApiResponseTimeHigh", "service": "shop", "override": "/v1/chat", "severity": "critical"},
        {"alertname": "LatencyBudgetBurning", "service": "shop", "severity": "critical"},
        False,
    ),
    "a full file system says nothing of another": (
        {
            "alertname": "FilesystemFillingUp",
            "service": "host",
            "instance": "a:1",
            "mountpoint": "/",
            "severity": "critical",
        },
        {
            "alertname": "FilesystemFillingUp",
            "service": "host",
            "instance": "a:1",
            "mountpoint": "/b",
            "severity": "warning",
        },
        False,
    ),
    "a full file system says nothing of another host": (
        {
            "alertname": "FilesystemFillingUp",
            "service": "host",
            "instance": "a:1",
            "mountpoint": "/",
            "severity": "critical",
        },
        {
            "alertname": "FilesystemFillingUp",
            "service": "host",
            "instance": "b:1",
            "mountpoint": "/",
            "severity": "warning",
        },
        False,
    ),
    "nothing silences the heartbeat": (
        {"alertname": "ServiceDown", "service": "prometheus", "host": "p", "severity": "critical"},
        {"alertname": "Watchdog", "service": "prometheus", "severity": "none"},
        False,
    ),
}


DISTINGUISHED = [
    ("instance", "FileDescriptorsNearlyUsed"),
    ("pool", "DatabasePoolNearlyFull"),
    ("cache", "CacheHitRatioLow"),
    ("operation", "CacheSlow"),
    ("db_system_name", "DatabaseQueryTimeHigh"),
    ("gen_ai_request_model", "ModelInferenceTimeHigh"),
    ("override", "ApiResponseTimeHigh"),
    ("datname", "PostgresLongTransaction"),
    ("endpoint", "VectorStoreSlow"),
    ("slo", "ErrorBudgetSpent"),
]
for name, alert in DISTINGUISHED:
    one, other = ({"alertname": alert, "service": "shop", name: value} for value in ("one", "other"))
    CASES[f"critical says nothing of another {name}"] = (
        {**one, "severity": "critical"},
        {**other, "severity": "warning"},
        False,
    )
    CASES[f"critical silences the warning of the same {name}"] = (
        {**one, "severity": "critical"},
        {**one, "severity": "warning"},
        True,
    )


def set_apart(labels: dict[str, str], case: int) -> dict[str, str]:
    """Give each case services and hosts of its own, so that all fit into one Alertmanager."""
    return {name: f"{value}-{case}" if name in {"service", "host"} else value for name, value in labels.items()}


def find(alerts: list[dict[str, Any]], labels: dict[str, str]) -> dict[str, Any]:
    """Return Alertmanager's view of one alert."""
    return next(alert for alert in alerts if alert["labels"] == labels)


def find_wrong(alerts: list[dict[str, Any]]) -> list[str]:
    """Return the cases of the table that Alertmanager does not handle so (yet)."""
    return [
        sentence
        for at, (sentence, (_, target, silenced)) in enumerate(CASES.items())
        if bool(find(alerts, set_apart(target, at))["status"]["inhibitedBy"]) is not silenced
    ]


def subjects(series: str) -> set[str]:
    """Return the labels of a rule's test series, less what it sums over; `_info` series are for texts."""
    if series.partition("{")[0].endswith("_info"):
        return set()
    return set(re.findall(r"([a-zA-Z_]\w*)=", series)) - {"le", "finished_reason", "handler", "method", "status"}


def test_whatever_distinguishes_two_subjects_is_compared():
    """Every label of the series that an alert with two severities is tested on."""
    configuration = yaml.safe_load((CHECKOUT / "alertmanager" / "alertmanager.yml").read_text())
    compared = set(configuration["inhibit_rules"][0]["equal"])
    severities: dict[str, set[str]] = defaultdict(set)
    for path in (CHECKOUT / "prometheus" / "alerts").glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                severities[rule["alert"]].add(rule["labels"]["severity"])
    missing = {
        f"{alert}: {label}"
        for path in (CHECKOUT / "prometheus" / "tests").glob("*_test.yml")
        for test in yaml.safe_load(path.read_text())["tests"]
        if len(severities[alert := test["name"].split()[0]]) > 1
        for series in test["input_series"]
        for label in subjects(series["series"]) - compared
    }
    assert missing == set()


def test_the_table_of_what_silences_what(chain: Chain):
    """Each case of the table, by its own words; Alertmanager is given a moment to settle."""
    pairs = [(set_apart(a, at), set_apart(b, at)) for at, (a, b, _) in enumerate(CASES.values())]
    chain.post_alerts(*({"labels": labels} for pair in pairs for labels in pair))
    url = f"{chain.urls['alertmanager']}/api/v2/alerts"
    wait_until(lambda: len(fetch(url)) == len(pairs) * 2, what="Alertmanager to have every alert")
    end = time.monotonic() + 60
    while (wrong := find_wrong(fetch(url))) and time.monotonic() < end:
        time.sleep(0.2)
    assert wrong == []
