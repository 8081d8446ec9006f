# ruff: noqa: ISC004  # a sentence that is longer than a line is still one
"""thresholds.yml: what a complete file gives, and the sentence for each mistake, with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_base.thresholds import Override, parse_thresholds, read_thresholds

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
OVERRIDE = SIGNAL + "overrides:\n"
LIMITS = SIGNAL + "limits:\n"
MISTAKES = {
    "a threshold that is not a number": (
        SIGNAL.replace("warning: 0.05", "warning: much"),
        "t.yml:8: signal error_ratio: warning has the value 'much'; it must be a number, 0 or more.",
    ),
    "a negative threshold": (
        SIGNAL.replace("critical: 0.1", "critical: -1"),
        "t.yml:9: signal error_ratio: critical has the value -1; it must be a number, 0 or more.",
    ),
    "yes for a number": (
        SIGNAL.replace("critical: 0.1", "critical: yes"),
        "t.yml:9: signal error_ratio: critical has the value True; it must be a number, 0 or more.",
    ),
    "critical before warning": (
        SIGNAL.replace("critical: 0.1", "critical: 0.01"),
        "t.yml:9: signal error_ratio: critical 0.01 is reached before warning 0.05; critical must lie above it.",
    ),
    "critical before warning, where less is worse": (
        SIGNAL.replace("direction: above", "direction: below"),
        "t.yml:9: signal error_ratio: critical 0.1 is reached before warning 0.05; critical must lie below it.",
    ),
    "no limit": (
        SIGNAL.replace("    warning: 0.05\n    critical: 0.1\n", ""),
        "t.yml:2: signal error_ratio: neither warning nor critical is given; at least one must be.",
    ),
    "no duration": (
        SIGNAL.replace("for: 30s", "for: soon"),
        "t.yml:10: signal error_ratio: for has the value 'soon'; it must be a duration such as 30s, 5m or 1h.",
    ),
    "a missing field": (
        SIGNAL.replace("    owner: api\n", "").replace("    title: Failed requests\n", ""),
        "t.yml:2: signal error_ratio has no title, owner.",
    ),
    "a signal without a name": (
        SIGNAL.replace("- signal: error_ratio\n    title", "- title"),
        "t.yml:2: this signal has no signal.",
    ),
    "an override without a name": (
        OVERRIDE + "  - {service: a, warning: 1}\n",
        "t.yml:18: this override has no signal.",
    ),
    "an unknown field": (
        SIGNAL + "    tresholds: 1\n    warnin: 1\n",
        "t.yml:18: signal error_ratio: unknown field 'warnin'; did you mean 'warning'?",
    ),
    "an unknown field that resembles none": (
        LIMITS + "  A: {colour: red, warning: 1, owner: o}\n",
        "t.yml:18: limit A: unknown field 'colour'; known are critical, for, info, owner, warning.",
    ),
    "an unknown component": (
        SIGNAL.replace("component: api", "component: moon"),
        "t.yml:4: signal error_ratio: component has the value 'moon'; it must be one of api, database, cache, model,"
        " vector, cpu, memory, disk, network.",
    ),
    "a name of a series that cannot be": (
        SIGNAL.replace("record: service:errors", "record: service-errors"),
        "t.yml:15: signal error_ratio: record has the value 'service-errors:ratio_rate1m'; it must be the name of a"
        " series.",
    ),
    "labels that are not a list": (
        SIGNAL.replace("by: [service]", "by: service"),
        "t.yml:14: signal error_ratio: by has the value 'service'; it must be a list of label names.",
    ),
    "an override of an unknown signal": (
        OVERRIDE + "  - {signal: eror_ratio, service: shop, warning: 1}\n",
        "t.yml:18: override of eror_ratio: unknown signal; did you mean 'error_ratio'?",
    ),
    "an override for everything": (
        OVERRIDE + "  - {signal: error_ratio, warning: 1}\n",
        "t.yml:18: override of error_ratio: neither service nor route is given; without one it would change every"
        " service.",
    ),
    "a route override of a signal without routes": (
        OVERRIDE + "  - {signal: error_ratio, route: /a, warning: 1}\n",
        "t.yml:18: override of error_ratio: the signal is not measured per route; override it per service.",
    ),
    "an override that is critical before it warns": (
        OVERRIDE + "  - {signal: error_ratio, service: a, warning: 1, critical: 0.5}\n",
        "t.yml:18: override of error_ratio: critical 0.5 is reached before warning 1; critical must lie above it.",
    ),
    "the same override again": (
        OVERRIDE + "  - {signal: error_ratio, service: a, warning: 1}\n" * 2,
        "t.yml:17: the override of error_ratio for service a is defined 2 times.",
    ),
    "a signal that is defined again": (
        SIGNAL + SIGNAL.removeprefix("signals:\n"),
        "t.yml:1: the signal 'error_ratio' is defined 2 times; every signal has its own.",
    ),
    "an alert without numbers": (
        LIMITS + "  A: {owner: o}\n",
        "t.yml:18: limit A: none of info, warning, critical is given; at least one must be.",
    ),
    "a number in place of an alert's mapping": (
        LIMITS + "  A: 3\n",
        "t.yml:18: limit A must be a mapping such as {warning: 1, for: 30s, owner: platform}.",
    ),
    "limits that are a list": (LIMITS + "  - A\n", "t.yml:17: limits must be a mapping of alert names to numbers."),
    "a key that is defined again": (
        SIGNAL.replace("    owner: api\n", "    owner: api\n    owner: other\n"),
        "t.yml:12: the key 'owner' is defined twice in one mapping.",
    ),
    "an unknown section": (
        "signals: []\nsignal: {}\n",
        "t.yml:2: the file: unknown field 'signal'; did you mean 'signals'?",
    ),
    "no signals": ("limits: {}\n", "t.yml:1: the list `signals` is missing."),
    "signals that are a mapping": ("signals: {}\n", "t.yml:1: signals must be a list."),
    "a signal that is a text": ("signals: [a]\n", "t.yml:1: signals holds 'a'; every item must be a mapping"),
}


def problems_of(text: str) -> tuple[str, ...]:
    """Return the problems of a text."""
    with pytest.raises(ConfigError) as caught:
        parse_thresholds(text, "t.yml")
    return caught.value.problems


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(case: str):
    """The sentence has file, line, value and rule."""
    text, sentence = MISTAKES[case]
    assert [problem for problem in problems_of(text) if sentence in problem]


def test_all_mistakes_are_reported_together():
    """Three mistakes are three sentences, not three runs."""
    text = SIGNAL.replace("0.05", "a").replace("0.1\n", "b\n").replace("kind: red", "kind: blue")
    assert len(problems_of(text)) == 3


def test_a_complete_file_gives_its_numbers():
    """Limits by severity, and how long each must hold."""
    limits = "limits:\n  A: {info: 1, critical: 2, for: 5s, owner: o}\n"
    found = parse_thresholds(OVERRIDE + "  - {signal: error_ratio, service: a, warning: 0.2}\n" + limits, "t.yml")
    signal = found.find_signal("error_ratio")
    assert signal is not None
    assert (signal.limits, signal.goal) == ({"warning": 0.05, "critical": 0.1}, None)
    assert signal.holds == {"warning": "30s", "critical": "30s"}
    assert found.overrides_of("error_ratio") == (Override("error_ratio", "a", "", {"warning": 0.2}),)
    assert (found.alerts["A"].limits, found.alerts["A"].hold) == ({"info": 1, "critical": 2}, "5s")


def test_an_override_names_the_labels_of_its_series():
    """What is empty is not a label."""
    assert Override("s", "shop", "/a", {}).labels == {"service": "shop", "http_route": "/a"}
    assert Override("s", "", "/a", {}).labels == {"http_route": "/a"}


def test_the_shipped_file_has_the_limits_that_the_user_gave(checkout: Path):
    """Each signal of the requirements warns where they say."""
    thresholds = read_thresholds(checkout / "prometheus" / "thresholds.yml")
    assert {signal.name: signal.limits["warning"] for signal in thresholds.signals} == {
        "api_response_time_p95": 1,
        "timeout_ratio": 0.01,
        "error_ratio": 0.05,
        "db_query_time_p95": 0.1,
        "db_pool_used_ratio": 0.8,
        "model_inference_time_p95": 5,
        "cpu_used_ratio": 0.7,
        "memory_used_ratio": 0.8,
        "disk_io_bytes_per_second": 50_000_000,
        "network_io_bytes_per_second": 25_000_000,
        "cache_hit_ratio": 0.8,
        "vector_search_time_p95": 0.2,
    }
