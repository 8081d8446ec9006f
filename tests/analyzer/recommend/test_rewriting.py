"""A language model may reword; it may not invent a number."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_analyzer.findings import Severity
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.recommend import Context, Recommendation, load_rules, recommend
from perfloop_analyzer.recommend.rewriting import facts_of, is_supported, prompt_for


class _Nothing:
    def now(self, signal: str, service: str) -> float | None:
        """Nothing is measured."""

    def peak(self, signal: str, service: str) -> float | None:
        """Nothing is measured."""

    def course(self, signal: str, finding: object) -> None:
        """Nothing is measured."""

    def series(self, signal: str, service: str) -> int:
        """Nothing is measured."""
        return 0

    def past(self, signal: str, finding: object) -> None:
        """Nothing is known."""

    def window(self, signal: str, finding: object) -> None:
        """Nothing is measured."""


@pytest.fixture
def recommendation(build: Any) -> Recommendation:
    """A recommendation whose query time went from 21 ms to 975 ms."""
    finding = build.finding(
        title="Query time, 95th percentile", value=0.9752, expected=0.0208, unit="seconds", severity=Severity.CRITICAL
    )
    incidents = group_incidents([finding], Topology(), lambda _finding: 2.0)
    return recommend(incidents, load_rules(), Context(_Nothing(), 1.0))[0]


@pytest.mark.parametrize(
    "text",
    [
        "Queries now take 975 ms instead of 21 ms.",
        "The 95th percentile rose to 0.975 seconds.",
        "Queries are slow; look for a missing index.",
    ],
)
def test_numbers_of_the_evidence_pass(recommendation: Recommendation, text: str) -> None:
    """Rounded and in other units, they are still the evidence's."""
    assert is_supported(text, recommendation)


@pytest.mark.parametrize(
    "text", ["Queries are 47 times slower.", "It will save 30 % of the cost.", "", "word " * 400, "It took 974 ms."]
)
def test_foreign_numbers_and_no_words_do_not(recommendation: Recommendation, text: str) -> None:
    """One number from elsewhere discards the whole text."""
    assert not is_supported(text, recommendation)


def test_the_prompt_holds_the_facts_alone(recommendation: Recommendation) -> None:
    """What may be said is what is sent."""
    assert prompt_for(recommendation)[1]["content"] == "\n".join(facts_of(recommendation))
