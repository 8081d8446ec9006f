"""slos.yml: what an objective becomes, and the sentence for each mistake, with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_base.slos import parse_slos, read_slos

if TYPE_CHECKING:
    from pathlib import Path

SLO = """window: 30d
slos:
  - slo: availability
    title: Answers within $within
    alert: A
    objective: 0.999
    component: api
    owner: api
    total: sum(rate(all[$window]))
    bad: sum(rate(bad{$within}[$window]))
    within: 0.5
"""
WITHOUT_LIMIT = SLO.replace("    within: 0.5\n", "").replace("{$within}", "").replace(" within $within", "")
MISTAKES = {
    "an objective of 100 %": (
        SLO.replace("0.999", "1"),
        "s.yml:6: SLO availability: objective has the value 1; it must lie between 0 and 1.",
    ),
    "both good and bad": (
        SLO + "    good: x[$window]\n",
        "s.yml:3: SLO availability: exactly one of bad and good must be given.",
    ),
    "a fixed window": (
        SLO.replace("bad{$within}[$window]", "bad{$within}[5m]"),
        "s.yml:10: SLO availability: bad does not contain $window, so it cannot be asked over several windows.",
    ),
    "another period": (
        SLO.replace("30d", "7d"),
        "s.yml:1: window has the value '7d'; it must be 30d, as the burn rates are.",
    ),
    "a limit that limits nothing": (
        WITHOUT_LIMIT + "    within: 1\n",
        "s.yml:11: SLO availability: neither good nor bad contains $within, so that within limits nothing.",
    ),
    "a limit that is nowhere": (
        SLO.replace("    within: 0.5\n", ""),
        "s.yml:10: SLO availability: bad contains $within, but within is missing.",
    ),
    "a limit of no seconds": (
        SLO.replace("within: 0.5", "within: 0"),
        "s.yml:11: SLO availability: within has the value 0; it must be above 0 seconds.",
    ),
    "an unknown field": (
        SLO + "    objectiv: 1\n",
        "s.yml:12: SLO availability: unknown field 'objectiv'; did you mean 'objective'?",
    ),
    "the same objective again": (
        SLO + SLO.split("slos:\n")[1],
        "s.yml:2: the SLO 'availability' is defined 2 times; every SLO has its own.",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(case: str):
    """An objective that nobody can keep, or that cannot be computed, is refused."""
    text, sentence = MISTAKES[case]
    with pytest.raises(ConfigError) as caught:
        parse_slos(text, "s.yml")
    assert sentence in caught.value.problems


@pytest.mark.parametrize(
    ("within", "matcher", "words"),
    [("0.5", 'le="0.5"', "500 ms"), ("2", 'le=~"2|2.0"', "2 s"), ("0.05", 'le="0.05"', "50 ms")],
)
def test_the_limit_stands_wherever_the_file_refers_to_it(within: str, matcher: str, words: str):
    """In the title as people write it, in PromQL as a bucket of Prometheus 2 and of 3."""
    (slo,) = parse_slos(SLO.replace("within: 0.5", f"within: {within}"), "s.yml")
    assert slo.title == f"Answers within {words}"
    assert f"rate(bad{{{matcher}}}[$window])" in slo.bad
    assert slo.within == float(within)


def test_bad_events_are_counted_or_what_is_not_good():
    """Where no event is bad the rate is 0, not absent."""
    (counted,) = parse_slos(WITHOUT_LIMIT, "s.yml")
    assert counted.bad == "(sum(rate(bad[$window]))) or (sum(rate(all[$window]))) * 0"
    (rest,) = parse_slos(WITHOUT_LIMIT.replace("    bad:", "    good:"), "s.yml")
    assert rest.bad == "(sum(rate(all[$window]))) - (sum(rate(bad[$window])))"


def test_the_shipped_objectives_leave_their_budgets(checkout: Path):
    """99.9 % of requests answered, 95 % of each latency kept."""
    budgets = {slo.name: slo.budget for slo in read_slos(checkout / "prometheus" / "slos.yml")}
    assert budgets == {"availability": 0.001, "latency": 0.05, "first_token": 0.05, "inter_token": 0.05}
