"""Groups of runs side by side: what is compared, and what is answered."""

from __future__ import annotations

from dataclasses import replace
from math import expm1
from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.compare.answers import Answer
from perfloop_loadgen.compare.measures import MEASURES
from perfloop_loadgen.compare.noise import certify
from perfloop_loadgen.compare.repeated import single_runs
from perfloop_loadgen.compare.runs import Gate, compare
from perfloop_loadgen.summary.repeats import RepeatRow, Repeats
from tests.loadgen.known_runs import build_run, build_runs

if TYPE_CHECKING:
    from perfloop_loadgen.compare.runs import Comparison, Row


def row(compared: Comparison, measure: str, endpoint: str = "all") -> Row:
    """The row of a number."""
    return next(one for one in compared.rows if (one.measure, one.endpoint) == (measure, endpoint))


@pytest.mark.parametrize(("factor", "answer"), [(1.0, Answer.SAME), (1.1, Answer.WORSE), (0.9, Answer.BETTER)])
def test_the_change_and_its_interval_hold_the_truth(factor: float, answer: Answer):
    """Five runs a side that differ by 1 % from run to run: a tenth is found, with its direction."""
    compared = compare(build_runs(0.1, 5, 1), build_runs(0.1 * factor, 5, 2), Gate(measures=("p50", "p95", "p99")))
    assert compared.answer is answer
    found = row(compared, "p95")
    assert found.change == pytest.approx(factor - 1, abs=0.03)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.change < found.high
    assert (found.base, found.new) == (pytest.approx(0.1475, rel=0.03), pytest.approx(0.1475 * factor, rel=0.03))


def test_one_endpoint_that_became_slower_is_found_and_named():
    """Among four of which three are as they were, and all together are little changed."""
    before = {f"GET /{number}": 0.1 for number in range(4)}
    compared = compare(build_runs(before, 6, 1), build_runs(before | {"GET /2": 0.12}, 6, 2), Gate())
    assert compared.answer is Answer.WORSE
    assert {one.endpoint for one in compared.rows if one.answer is Answer.WORSE} >= {"GET /2"}
    assert not {one.endpoint for one in compared.rows if one.answer is Answer.WORSE} & {"GET /0", "GET /1", "GET /3"}
    worst = compared.worst()
    assert worst is not None
    assert worst.endpoint == "GET /2"


def test_an_endpoint_that_only_one_side_has_is_undecided():
    """It is in the table, with the reason."""
    compared = compare(build_runs({"GET /": 0.1}, 5, 1), build_runs({"GET /": 0.1, "GET /new": 0.1}, 5, 2), Gate())
    found = row(compared, "p95", "GET /new")
    assert (found.answer, found.note) == (Answer.UNKNOWN, "5 of 10 runs have too few values")


def test_one_run_a_side_proves_nothing_and_says_what_would():
    """Twice as slow in one run each: it may be the machine's, and four more runs would show it."""
    compared = compare(build_runs(0.1, 1, 1), build_runs(0.2, 1, 2), Gate(measures=("p95",)))
    assert compared.answer is Answer.UNKNOWN
    assert row(compared, "p95").low is None
    assert compared.runs_needed == 5
    assert "5 runs a side show it" in compared.notes[0]


def test_with_the_machines_noise_one_run_a_side_is_enough_for_a_large_change():
    """What the certificate's runs never differ by is a change; what they do differ by is not."""
    noise = certify(build_runs(0.1, 10, 3))
    base = build_runs(0.1, 1, 1)
    assert compare(base, build_runs(0.2, 1, 2), Gate(measures=("p95",), noise=noise)).answer is Answer.WORSE
    small = compare(base, build_runs(0.103, 1, 2), Gate(measures=("p95",), noise=noise))
    assert small.answer in {Answer.SAME, Answer.UNKNOWN}


def test_a_run_that_varies_more_than_the_certificate_is_not_trusted_more():
    """The variation within a single run counts where it is larger than the machine's noise."""
    noise = certify(build_runs(0.1, 10, 3, spread=0.001))
    base, new = build_run(0.1, 1), build_run(0.2, 2)
    wild = [replace(point, p95_seconds=0.2 * (10 if second % 2 else 0.1)) for second, point in enumerate(new.timeline)]
    calm = compare([base], [new], Gate(measures=("p95",), noise=noise))
    assert calm.answer is Answer.WORSE
    assert compare([base], [replace(new, timeline=wild)], Gate(measures=("p95",), noise=noise)).answer is Answer.UNKNOWN


def test_a_gate_finer_than_the_noise_judges_only_what_is_larger():
    """A row's own noise is its smallest effect; a change well beyond it is found all the same."""
    noise = certify(build_runs(0.1, 10, 3, spread=0.08))
    gate = Gate(min_effect=0.01, measures=("p95",), noise=noise)
    small = compare(build_runs(0.1, 5, 1), build_runs(0.103, 5, 2), gate)
    assert small.answer is Answer.UNKNOWN
    finest = noise.rows[0].finest(5, 5)
    assert f"this machine's noise is {expm1(finest):.1%}" in row(small, "p95").note or row(small, "p95").note
    assert compare(build_runs(0.1, 5, 1), build_runs(0.2, 5, 2), gate).answer is Answer.WORSE


@pytest.mark.parametrize(("failed", "answer"), [(0, Answer.SAME), (10, Answer.WORSE)])
def test_errors_are_compared_as_shares(failed: int, answer: Answer):
    """From none to 5 % is worse; no error on either side is the same, though there is no variation."""
    compared = compare(build_runs(0.1, 5, 1), build_runs(0.1, 5, 2, failed=failed), Gate(measures=("errors",)))
    assert row(compared, "errors").answer is answer
    assert row(compared, "errors").change == pytest.approx(failed / 200)


def test_no_error_in_few_requests_is_no_proof_that_there_is_none():
    """One run of 200 requests each without an error: an error in a hundred requests is possible."""
    compared = compare(build_runs(0.1, 1, 1), build_runs(0.1, 1, 2), Gate(measures=("errors",)))
    assert compared.answer is Answer.UNKNOWN


def test_percentiles_beyond_the_values_are_left_out():
    """The p99 of fewer than a hundred values would be their maximum."""
    runs = build_runs(0.1, 10, 1)
    few = [
        replace(
            run,
            summary=replace(
                run.summary, total=replace(run.summary.total, response=replace(run.summary.total.response, count=99))
            ),
        )
        for run in runs
    ]
    compared = compare(few[:5], few[5:], Gate(measures=("p95", "p99")))
    assert [one.measure for one in compared.rows] == ["p95"]
    assert compared.answer is Answer.SAME
    assert compared.notes == ["too few requests to compute p99 of all"]


def test_the_rate_of_an_open_load_is_no_result():
    """It is the schedule's, whatever the service does."""
    changes = {"profile": "constant_rate"}
    compared = compare(build_runs(0.1, 5, 1, **changes), build_runs(0.1, 5, 2, **changes), Gate())
    assert "rate" not in {one.measure for one in compared.rows}
    assert "rate" in {one.measure for one in compare(build_runs(0.1, 5, 1), build_runs(0.1, 5, 2), Gate()).rows}


def test_a_report_of_a_repeated_test_is_its_runs():
    """One file of five runs is five runs, those that are left out not among them."""
    runs = build_runs(0.1, 6, 1)
    rows = [
        RepeatRow.of(run.run_id, run.started_at, run.summary, "stopped" if at == 5 else "")
        for at, run in enumerate(runs)
    ]
    found = list(single_runs([replace(runs[0], repeats=Repeats(rows))]))
    assert [run.run_id for run in found] == [run.run_id for run in runs[:5]]
    for measure in ("p50", "p95", "p99", "errors", "rate"):
        gate = Gate(measures=(measure,))
        expected = [row(compare([run], [run], gate), measure).base for run in runs[:5]]
        assert [row(compare([run], [run], gate), measure).base for run in found] == pytest.approx(expected)


def test_every_measure_can_be_chosen():
    """The names are those of the flag."""
    assert MEASURES == ("p50", "p95", "p99", "ttft_p95", "tpot_p95", "rate", "errors")


def test_what_both_runs_of_a_block_share_is_no_noise():
    """Eight blocks on a machine whose speed changes by half from block to block: a change of 12 % is found inside."""
    levels = [0.1 * (1.5 if block % 2 else 1) for block in range(8)]
    base = [build_run(level, seed, 0.01) for seed, level in enumerate(levels)]
    new = [build_run(1.12 * level, 100 + seed, 0.01) for seed, level in enumerate(levels)]
    assert compare(base, new, Gate(measures=("p95",))).answer is Answer.UNKNOWN
    by_blocks = compare(base, new, Gate(measures=("p95",), is_blocked=True))
    assert by_blocks.answer is Answer.WORSE
    assert by_blocks.notes == ["compared inside of 8 blocks: what both runs of a block share is no noise"]
