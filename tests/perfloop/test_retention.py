"""How long Prometheus keeps data, beside the longest window of the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.errors import SettingsError
from perfloop.stack.retention import find_short_retention
from perfloop.stack.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_default_holds_every_window_of_the_rules(checkout: Path):
    """The error budgets are of 30 days."""
    assert find_short_retention(read_settings(checkout, {})) == ""


def test_a_rule_that_looks_back_further_is_named(checkout: Path):
    """With its file and line, and what its results are then of."""
    settings = read_settings(checkout, {"PERFLOOP_RETENTION_TIME": "15d"})
    assert find_short_retention(settings).startswith("PERFLOOP_RETENTION_TIME is 15d, and service_slo:slo_")
    assert "looks back 30 days: its results are of 15d only" in find_short_retention(settings)


def test_a_rule_of_ones_own_counts_too(tmp_path: Path, checkout: Path):
    """Whoever wrote the file."""
    alerts = tmp_path / "prometheus" / "alerts"
    alerts.mkdir(parents=True)
    (alerts / "mine.yml").write_text(
        "groups: [{name: g, rules: [{alert: Slow, expr: 'max_over_time(a[1y]) > 2 * max_over_time(a[1h])'}]}]\n"
    )
    settings = replace(read_settings(checkout, {}), configuration=tmp_path)
    assert "and Slow (" in find_short_retention(settings)
    assert "mine.yml:1) looks back 365 days" in find_short_retention(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TIME", "a month"), ("TIME", "0s"), ("TIME", "15"), ("SIZE", "20"), ("SIZE", "20 GB"), ("SIZE", "-1GB")],
)
def test_what_prometheus_would_refuse_is_one_sentence(checkout: Path, variable: str, value: str):
    """It names the variable, the value and what it may be."""
    with pytest.raises(SettingsError) as caught:
        read_settings(checkout, {f"PERFLOOP_RETENTION_{variable}": value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"PERFLOOP_RETENTION_{variable} is {value!r}: it is a ")
