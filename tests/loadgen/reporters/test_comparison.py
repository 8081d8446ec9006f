"""What a comparison looks like: for people, for pipelines, for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from perfloop_base.errors import ExitCode
from perfloop_loadgen.compare.answers import Answer
from perfloop_loadgen.compare.runs import Comparison, Gate, Row, compare
from perfloop_loadgen.reporters import comparison, gate
from perfloop_loadgen.reporters.gate import GateOutcome
from tests.loadgen.known_runs import build_runs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def worse() -> Comparison:
    """Twenty endpoints of which one became slower."""
    before = {f"GET /{number}": 0.1 for number in range(20)}
    return compare(build_runs(before, 8, 1, 0.005), build_runs(before | {"GET /7": 0.2}, 8, 2, 0.005), Gate())


def one_row(answer: Answer, **changes: object) -> Comparison:
    """A comparison of one number."""
    row = Row("all", "p95", "seconds", 0.1, 0.12, 0.2, 0.15, 0.25, 0.001, answer)
    found = Comparison("shop", answer, [row], ["a"] * 5, ["b"] * 5, 0.05)
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("compared", "sentence"),
    [
        (one_row(Answer.WORSE), "worse: p95 of all +20.0%, between +15.0% and +25.0% (5 against 5 runs)"),
        (one_row(Answer.SAME), "same: no change of 5% or more (5 against 5 runs)"),
        (one_row(Answer.UNKNOWN), "cannot tell whether something changed by 5% or more (5 against 5 runs)"),
        (one_row(Answer.SAME, min_effect=0.125), "same: no change of 12.5% or more (5 against 5 runs)"),
    ],
)
def test_the_answer_is_one_sentence(compared: Comparison, sentence: str):
    """With what it rests on."""
    assert comparison.headline(compared) == sentence


def test_the_number_of_runs_that_would_do_is_in_the_sentence():
    """How many more than there are, if every row would then have an answer."""
    row = replace(one_row(Answer.UNKNOWN).rows[0], runs_needed=12)
    found = one_row(Answer.UNKNOWN, rows=[row])
    assert comparison.headline(found).endswith("(5 against 5 runs): about 7 more runs a side would do")
    hopeless = replace(row, measure="p99", runs_needed=None)
    assert "more runs" not in comparison.headline(replace(found, rows=[row, hopeless]))
    assert "(about 12 runs a side would do)" in "\n".join(comparison.comparison_lines(found))


def test_a_page_with_many_rows_folds_those_without_a_finding(worse: Comparison):
    """What a reviewer must see is above; the whole table is one click away."""
    page = comparison.render_markdown(worse).decode()
    above, _, below = page.partition("<details>")
    assert "GET /7 | p95" in above
    assert "GET /3" not in above
    assert "GET /3 | p95" in below
    assert below.count("</details>") == 1


def test_junit_has_a_case_for_each_row(worse: Comparison):
    """Failures are what is worse, skipped is what is undecided, and the counts are those of the cases."""
    suite = ET.fromstring(comparison.render_junit(worse))
    assert len(suite) == len(worse.rows) + 1
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert {"gate", "p50 of GET /7", "p95 of GET /7"} <= failed
    assert suite.get("failures") == str(len(failed))
    assert suite.get("skipped") == str(sum(row.answer is Answer.UNKNOWN for row in worse.rows))


def test_text_of_a_test_is_not_markup():
    """Names of endpoints and tests come from files and servers."""
    row = replace(one_row(Answer.WORSE).rows[0], endpoint="GET /a|b<script>")
    page = comparison.render_markdown(one_row(Answer.WORSE, test="a <b> @me", rows=[row])).decode()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "a\\|b" in page
    assert "@me" not in page


def test_a_gate_has_what_no_comparison_has(worse: Comparison):
    """A test that failed by itself, and one that was invalid, beside one that was compared."""
    outcomes = [
        GateOutcome("one", "main", ExitCode.FAILED, "failed", ["the gate 'p95 < 1 s' measured 2 s"], worse),
        GateOutcome("two", "main", ExitCode.INVALID, "invalid", ["the generator was the limit"]),
    ]
    page = gate.render_markdown(outcomes).decode()
    assert page.index("### one: failed") < page.index("measured 2 s") < page.index("### two: invalid")
    suites = ET.fromstring(gate.render_junit(outcomes))
    assert [(suite.get("name"), suite.get("errors")) for suite in suites] == [("one", "0"), ("two", "1")]
    assert suites[0].find("testcase[@name='failed']/failure") is not None
    assert [one["result"] for one in json.loads(gate.render_json(outcomes))] == ["failed", "invalid"]


def test_the_published_schemas_are_current_and_hold(worse: Comparison, checkout: Path):
    """docs/schemas has what `schema --of` prints, and what is written keeps to it."""
    outcome = GateOutcome("one", "main", ExitCode.FAILED, "worse", [], worse)
    for name, schema, written in (
        ("comparison", comparison.comparison_schema(), comparison.render_json(worse)),
        ("gate", gate.gate_schema(), gate.render_json([outcome])),
    ):
        published = json.loads((checkout / "docs" / "schemas" / f"load_test_{name}.schema.json").read_text())
        assert published == json.loads(json.dumps(schema))
        jsonschema.validate(json.loads(written), published)
