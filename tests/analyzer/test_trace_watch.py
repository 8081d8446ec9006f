"""Traces as evidence: which exemplars are taken, and what becomes of a source that has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.errors import QueryRejected, SourceUnavailable
from perfloop_analyzer.exemplars import MOST_TRACES, choose_traces
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents import Incident
from perfloop_analyzer.links import by_program, parse_link
from perfloop_analyzer.ports import Result
from perfloop_analyzer.recommend.engine import evidence
from perfloop_analyzer.recommend.recommendation import Recommendation
from perfloop_analyzer.reporters.leads import Leads
from perfloop_analyzer.trace_watch import MOST_QUERIES, REFUSED_SECONDS, TraceWatch

EXPR = "histogram_quantile(0.95, sum by (service, le) (rate(http_server_request_duration_seconds_bucket[1m])))"
FINDING = Finding(
    detector="threshold",
    signal="api_response_time_p95",
    title="p95",
    service="shop",
    component="api",
    kind="red",
    severity=Severity.WARNING,
    value=2.0,
    expected=0.2,
    onset=900.0,
    unit="seconds",
    expr=EXPR,
    labels={"service": "shop"},
)


def trace(number: int) -> str:
    """Return an id."""
    return f"{number:032x}"


def series(service: str, *values: float) -> dict[str, Any]:
    """Return a series of the API, with an exemplar for each value in seconds."""
    return {
        "seriesLabels": {"__name__": "http_server_request_duration_seconds_bucket", "service": service, "le": "5"},
        "exemplars": [
            {"labels": {"trace_id": trace(round(1000 * value))}, "value": str(value), "timestamp": 950.0}
            for value in values
        ],
    }


class Exemplars:
    """A source that answers as a test wants, and notes what it is asked."""

    def __init__(self, answer: list[Any] | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, float, float]] = []

    async def exemplars(self, expr: str, start: float, end: float) -> list[Any]:
        """Return the answer, or raise it."""
        self.asked.append((expr, start, end))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def result(*findings: Finding) -> Result:
    """Return a result with one incident and one recommendation of these findings."""
    incident = Incident("i", 900.0, Severity.WARNING, ("shop",), findings, ())
    advice = Recommendation(
        id="r",
        rule="x",
        service="shop",
        component="api",
        category="c",
        priority="high",
        title="t",
        action="a",
        effort="low",
        cost="none",
        affects=(),
        evidence=tuple(evidence(one) for one in findings),
    )
    return Result(1000.0, findings=findings, incidents=(incident,), recommendations=(advice,))


async def test_the_slowest_traces_are_evidence():
    """Of the finding's own service, the slowest first, since a little before it began; everywhere that it is named."""
    source = Exemplars([series("shop", 0.1, 3.0, 1.0, 2.0), series("other", 9.0)])
    found = await TraceWatch(source).add(result(FINDING))
    slowest = [{"trace_id": trace(1000 * n), "seconds": float(n), "at": 950.0} for n in (3, 2, 1)]
    assert found.incidents[0].as_dict()["findings"][0]["evidence"]["traces"] == slowest
    assert found.findings[0].as_dict()["evidence"]["traces"] == slowest
    assert found.recommendations[0].evidence[0]["traces"] == slowest
    ((expr, start, end),) = source.asked
    assert (expr, end) == (EXPR, 1000.0)
    assert start < FINDING.onset


async def test_nothing_is_asked_about_what_is_no_latency():
    """A ratio has no exemplars; without incidents there is nothing to ask."""
    source = Exemplars([series("shop", 1.0)])
    for finding in (replace(FINDING, unit="ratio"), replace(FINDING, expr="up"), replace(FINDING, direction="below")):
        before = result(finding)
        assert await TraceWatch(source).add(before) == before
    assert await TraceWatch(source).add(Result(1.0)) == Result(1.0)
    assert not source.asked


async def test_questions_are_few():
    """However many findings there are, a cycle asks a handful of questions."""
    source = Exemplars([])
    await TraceWatch(source).add(result(*(replace(FINDING, expr=f"{EXPR} * {number}") for number in range(50))))
    assert len(source.asked) == MOST_QUERIES


@pytest.mark.parametrize("error", [SourceUnavailable("away"), QueryRejected("404")])
async def test_no_cycle_fails_for_it(error: Exception):
    """A store without exemplars is not asked again for a while; one that did not answer is."""
    source = Exemplars(error)
    watch = TraceWatch(source)
    before = result(FINDING)
    assert await watch.add(before) == before
    again = replace(before, at=before.at + 10)
    await watch.add(again)
    assert len(source.asked) == (1 if isinstance(error, QueryRejected) else 2)
    await watch.add(replace(before, at=before.at + REFUSED_SECONDS + 1))
    assert len(source.asked) == (2 if isinstance(error, QueryRejected) else 3)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["seriesLabels", "exemplars", "labels", "value", "timestamp", "trace_id", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(answer=st.lists(JSON, max_size=5))
def test_whatever_an_answer_holds_is_survived(answer: list[Any]):
    """Labels of exemplars are what an application has put there."""
    assert len(choose_traces(answer, {"service": "shop"})) <= MOST_TRACES


def test_labels_that_are_no_ids_are_passed_over():
    """They would stand in addresses."""
    bad = ["x", trace(1).upper()[:-1] + "F", "0" * 32, "javascript:alert(1)", f"{trace(5)}/../..", 5, None]
    answer = {
        "seriesLabels": {"service": "shop"},
        "exemplars": [{"labels": {"trace_id": one}, "value": "1", "timestamp": 1} for one in bad],
    }
    assert choose_traces([answer], {"service": "shop"}) == ()


def test_pages_lead_to_the_trace_store():
    """Where one is named; without one there is no link, and it is no program of the stack."""
    item = {**evidence(FINDING), "traces": [{"trace_id": trace(7), "seconds": 1.5, "at": 1.0}, {"trace_id": "x"}, 3]}
    links = by_program([parse_link("traces=http://127.0.0.1:16686")])
    leads = Leads(links).traces([item])
    assert [lead.url for lead in leads] == [f"http://127.0.0.1:16686/trace/{trace(7)}"]
    assert leads[0].words == "Trace of 1.5 s"
    assert Leads(by_program([parse_link("traces=")])).traces([item]) == []
    assert Leads(links).programs() == []
