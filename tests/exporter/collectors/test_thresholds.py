"""The committed thresholds, changes of the file, and what is wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors import thresholds
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError
from perfloop_exporter.thresholds import parse_thresholds

if TYPE_CHECKING:
    from pathlib import Path

PROMISED = {
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


def test_the_committed_file_has_the_promised_limits(checkout: Path) -> None:
    """Each signal warns where the user asked for it, once."""
    limits = parse_thresholds((checkout / "prometheus" / "thresholds.yml").read_text(), "thresholds.yml")
    warnings = {limit.signal: limit.value for limit in limits if limit.severity == "warning" and not limit.route}

    assert {name: warnings[name] for name in PROMISED} == PROMISED
    assert len({limit[:2] + limit[3:] for limit in limits}) == len(limits)


def test_a_changed_file_is_told_and_a_bad_one_fails(tmp_path: Path) -> None:
    """No restart is needed; a file that became bad turns the collector's success to 0."""
    file = tmp_path / "thresholds.yml"
    collector = thresholds.SPEC.build(Host(), {"file": str(file)})
    for value in (1, 22):
        file.write_text(f"signals: [{{signal: a, warning: {value}}}]\n")

        assert list(dict(collector.collect())[thresholds.THRESHOLD]) == [(("a", "warning"), value)]
    file.write_text("signals: [")
    with pytest.raises(CollectorError, match="is not YAML"):
        collector.collect()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("signals: {}", "t has no list `signals`"),
        ("signals: [{warning: 1}]", "t: signals: {'warning': 1} has no `signal`"),
        ("signals: [{signal: a, warning: high}]", "t: signals: a: warning is 'high', not a number"),
        ("signals: [{signal: a, warnin: 1}]", "t: signals: a: 'warnin' is no field"),
        ("signals: []\nsignal: {}", "t: the file: 'signal' is no field"),
        (
            "signals: [{signal: a, warning: 1}]\noverrides: [{signal: a, rute: /x}]",
            "t: overrides: a: 'rute' is no field",
        ),
        ("signals: []\noverrides: [{signal: b, warning: 1}]", "t: overrides: 'b' is no signal of this file"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(text: str, sentence: str) -> None:
    """The sentence names the file, the field and the value."""
    with pytest.raises(CollectorError) as caught:
        parse_thresholds(text, "t")

    assert str(caught.value) == sentence
