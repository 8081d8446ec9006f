"""What holds for every rule, whoever wrote it."""

from __future__ import annotations

import re
from typing import Any

LEVELS = {
    *("service", "service_route", "service_db", "service_db_operation", "service_pool", "service_model"),
    *("service_cache", "service_cache_operation", "service_slo", "instance", "instance_device", "instance_mountpoint"),
    *("namespace_pod", "namespace_persistentvolumeclaim", "service_instance"),
}


def test_recorded_names_say_level_metric_and_operations(recording_rules: list[dict[str, Any]]):
    """`level:metric:operations`, as the Prometheus documentation asks."""
    # A foreign series is recorded under the name that our own programs export.
    names = [rule["record"] for rule in recording_rules if "spelling" not in rule.get("labels", {})]
    assert [name for name in names if not re.fullmatch(r"[a-z_0-9]+:[a-z_0-9]+:[a-z_0-9]+", name)] == []
    assert {name.split(":")[0] for name in names} <= LEVELS


def test_no_series_is_recorded_twice(recording_rules: list[dict[str, Any]]):
    """One name and one set of labels has one rule."""
    keys = [(rule["record"], str(rule.get("labels"))) for rule in recording_rules]
    assert len(keys) == len(set(keys))


def test_every_alert_has_what_how_bad_and_where_to_look(alert_rules: list[dict[str, Any]]):
    """The words that the templates need are there."""
    needed = {"summary", "description", "dashboard", "runbook_url"}
    assert [rule["alert"] for rule in alert_rules if not needed <= set(rule["annotations"])] == []


def test_every_alert_has_the_labels_that_routes_and_people_need(alert_rules: list[dict[str, Any]]):
    """Severity routes it, owner answers for it, category and component sort it."""
    for rule in alert_rules:
        assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}, rule["alert"]
        assert {"category", "component", "owner"} <= set(rule["labels"]), rule["alert"]


def test_summaries_are_the_same_whatever_the_labels(alert_rules: list[dict[str, Any]]):
    """A summary stands for the group: the first alert's value may be in it, a label may not."""
    # Which series a value is read from is no word of the summary.
    summaries = {
        rule["alert"]: re.sub(r"{{ \$\w+ := query .*?}}", "", rule["annotations"]["summary"]) for rule in alert_rules
    }
    assert [alert for alert, summary in summaries.items() if "$labels" in summary] == []


def test_alerts_of_signals_and_slos_say_when_they_are_over(alert_rules: list[dict[str, Any]]):
    """A resolved message that repeats what was wrong reads as if it still were."""
    categories = {"degradation", "exhaustion", "errors", "capacity", "slo"}
    generated = [rule for rule in alert_rules if "signal" in rule["labels"] or rule["labels"]["category"] == "slo"]
    assert {rule["labels"]["category"] for rule in generated} == categories
    assert [rule["alert"] for rule in generated if not rule["annotations"].get("resolved")] == []


def test_no_alert_blinks(alert_rules: list[dict[str, Any]]):
    """What needs a moment to fire also needs a moment to resolve."""
    waiting = [rule for rule in alert_rules if rule.get("for", "0s") != "0s" and rule["labels"]["category"] != "slo"]
    assert [rule["alert"] for rule in waiting if "keep_firing_for" not in rule] == []


def test_critical_alerts_on_red_signals_fire_within_fifteen_seconds(alert_rules: list[dict[str, Any]]):
    """The way from a fault to a page has thirty seconds; holding may take half of them."""
    slow = [
        rule["alert"]
        for rule in alert_rules
        if rule["labels"]["severity"] == "critical"
        and rule["labels"].get("signal", "").endswith(("p95", "error_ratio", "timeout_ratio"))
        and rule["for"] not in {"10s", "15s"}
    ]
    assert slow == []


def test_the_four_kinds_of_alerts_are_there(alert_rules: list[dict[str, Any]]):
    """Degradation, exhaustion, error spikes, capacity: what the user names."""
    assert {"degradation", "exhaustion", "errors", "capacity", "slo", "stack"} == {
        rule["labels"]["category"] for rule in alert_rules
    }
