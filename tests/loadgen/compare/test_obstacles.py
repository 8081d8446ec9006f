"""What keeps runs from being compared: one sentence each, never a wrong answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perfloop_loadgen.compare.obstacles import obstacles
from perfloop_loadgen.summary.document import Host, State
from perfloop_loadgen.summary.verdict import Generator, Verdict
from tests.loadgen.known_runs import build_run, build_runs


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"profile": "spike"}, "the load shape differs: 'constant_users' and 'spike'"),
        ({"host": Host(name="other")}, "the generator's host differs: name "),
        ({"host": Host(cores=99)}, "the generator's host differs: cores "),
        ({"config": {"concurrent_users": 50}}, "the configuration differs: concurrent_users 5 and 50"),
        ({"config": {}}, "the configuration differs: concurrent_users 5 and (the default)"),
        ({"generator": Generator(workers=3)}, "the number of workers differs: 1 and 3"),
        ({"generator_version": "0.0.9"}, "the version of the load generator differs: '' and '0.0.9'"),
        ({"format": 2}, "the format of the reports differs: 1 and 2, and this version reads 1"),
        ({"state": State.KILLED}, "the new run "),
    ],
)
def test_runs_that_differ_do_not_compare(changes: dict[str, Any], sentence: str):
    """Each thing that differs besides the service is named, once, however many runs have it."""
    found = obstacles(build_runs(0.1, 3, 1), build_runs(0.1, 3, 2, **changes))
    assert found
    assert all(one.startswith(sentence) for one in found)
    if "state" not in changes:
        assert len(found) == 1


def test_runs_against_another_service_compare():
    """The address, the name and the gates may differ."""
    config = {"concurrent_users": 5, "base_url": "http://b", "thresholds": ["p95 < 1 s"], "name": "other"}
    assert obstacles(build_runs(0.1, 2, 1), build_runs(0.1, 2, 2, config=config)) == []


def test_an_invalid_run_is_no_baseline():
    """A run whose generator was the limit does not compare, on either side."""
    bad = build_run(0.1, 1, run_id="abc")
    bad = replace(bad, summary=replace(bad.summary, verdict=Verdict.INVALID, reasons=["CPU"]))
    assert obstacles([bad], build_runs(0.1, 1, 2)) == ["the base run abc was invalid: CPU"]
    assert obstacles(build_runs(0.1, 1, 2), [bad]) == ["the new run abc was invalid: CPU"]


def test_a_run_is_not_compared_with_itself():
    """The same report on both sides, or twice on one, would show that nothing varies."""
    one, *others = build_runs(0.1, 3, 1)
    one = replace(one, run_id="abc")
    sentence = "the run abc is given 2 times: a run that is compared with itself shows no noise"
    assert obstacles([one], [one]) == [sentence]
    assert obstacles([one, one], others) == [sentence]


def test_a_run_that_ended_early_is_named():
    """It lasted less than the others, for a reason."""
    runs = build_runs(0.1, 5, 1)
    short = replace(
        runs[4], run_id="abc", summary=replace(runs[4].summary, duration_seconds=3.0, end_reason="max_errors: 5")
    )
    assert obstacles(runs[:2], [*runs[2:4], short]) == ["the run abc lasted 3 s, the others 10 s: max_errors: 5"]


def test_a_side_without_runs_is_an_obstacle():
    """Also both of them."""
    assert obstacles([], []) == ["there is no base run", "there is no new run"]
