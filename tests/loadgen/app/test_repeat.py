"""One test run several times, against a real service whose times vary as they are asked to."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig
from perfloop_loadgen.app.repeat import RepeatTester, Repetition, runs_of, worst_gates
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.reporters.text import repeat_lines
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import from_json
from perfloop_loadgen.summary.verdict import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LIMITS = {"cpu_ratio": 9, "event_loop_lag_seconds": 9, "achieved_ratio": 0}


def _config(url: str, **changes: Any) -> LoadTestConfig:
    values = {
        "name": "shop",
        "base_url": url,
        "duration_seconds": 0.4,
        "concurrent_users": USERS,
        "endpoints": [{"path": "/"}],
        "generator_limits": _LIMITS,
        "thresholds": ["max < 60 s"],
    }
    return LoadTestConfig.model_validate(values | changes)


USERS = 2


class Slow:
    """A service that takes as long as it is asked to take in each run, the delays in turn.

    Every user of every run opens a connection: so a run is known by its connections.
    """

    def __init__(self, *delays: float) -> None:
        self._delays = delays
        self._seen: list[asyncio.StreamWriter] = []

    async def __call__(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer after the delay of the run."""
        if writer not in self._seen:
            self._seen.append(writer)
        run = self._seen.index(writer) // USERS
        await asyncio.sleep(self._delays[run % len(self._delays)])
        writer.write(OK)


async def test_the_runs_as_documents(hello: Any):
    """Each as it ends, with a book of its own; whoever iterates may end it."""
    started: list[str] = []
    documents = []
    runs = runs_of(_config(hello.url, duration_seconds=0.2), 5, started=lambda tester: started.append(tester.run_id))
    async for document in runs:
        documents.append(document)
        if len(documents) == 2:
            break
    await runs.aclose()
    assert [document.run_id for document in documents] == started
    assert sum(document.summary.total_requests for document in documents) == len(hello.requests)


async def test_as_often_as_asked(serve: Any):
    """Three runs: every request is in the one result, each run has its row, and the interval is between them."""
    async with serve(Slow(0.02)) as service:
        tester = RepeatTester(_config(service.url), Repetition(3, 3))
        lines: list[str] = []
        tester.line_listeners.append(lines.append)
        summary = await tester.run_load_test()
        assert summary.total_requests == len(service.requests)
    document = tester.document(summary)
    repeats = document.repeats
    assert repeats is not None
    assert [run.requests for run in repeats.runs] == [one.summary.total_requests for one in tester.documents]
    assert summary.verdict is Verdict.PASSED
    assert repeats.low_seconds <= repeats.center_seconds <= repeats.high_seconds
    assert 0.02 < repeats.center_seconds < 0.5
    assert summary.notes == [repeats.sentence()]
    assert lines[0] == "shop: run 1 of at most 3: passed"
    assert lines[2] == f"shop: run 3 of at most 3: passed; {repeats.sentence()}"
    assert 1.2 <= summary.duration_seconds < 10
    assert sum(point.requests for point in document.timeline) == summary.total_requests


async def test_until_the_interval_is_narrow(serve: Any):
    """Runs that are alike are soon enough, after the least number of them."""
    async with serve(Slow(0.2)) as service:
        tester = RepeatTester(_config(service.url, duration_seconds=0.6), Repetition(3, 12, interval_ratio=1))
        summary = await tester.run_load_test()
    repeats = tester.repeats()
    assert summary.verdict is Verdict.PASSED
    assert 3 <= len(repeats.runs) < 12
    assert repeats.half_width_ratio <= 1


async def test_an_interval_that_stays_wide_says_how_many_runs_it_takes(serve: Any):
    """Every other run takes four times as long: invalid, with the number of runs, and no run more than allowed."""
    async with serve(Slow(0.01, 0.04)) as service:
        tester = RepeatTester(_config(service.url), Repetition(2, 4, interval_ratio=0.05))
        summary = await tester.run_load_test()
    repeats = tester.repeats()
    assert len(repeats.runs) == 4
    assert (summary.verdict, tester.needs_more_runs) == (Verdict.INVALID, True)
    assert repeats.runs_needed > 20
    [reason] = summary.reasons
    assert "wider than ± 5%, which would take about" in reason
    assert f"about {repeats.runs_needed} runs" in reason


async def test_a_time_budget_ends_it(serve: Any):
    """No run begins that would end later, even if fewer than the least number have run."""
    async with serve(Slow(0.01)) as service:
        repetition = Repetition(5, 50, interval_ratio=1e-9, within_seconds=1.3)
        tester = RepeatTester(_config(service.url), repetition)
        await tester.run_load_test()
    assert 1 <= len(tester.documents) <= 3


async def test_one_failed_run_fails_all(serve: Any):
    """With its number and reason; the gate is shown as that run has it."""
    async with serve(Slow(0.005, 1, 0.005)) as service:
        config = _config(service.url, thresholds=["max < 800 ms"])
        tester = RepeatTester(config, Repetition(3, 3))
        summary = await tester.run_load_test()
    assert summary.verdict is Verdict.FAILED
    assert summary.reasons[0].startswith("run 2: the gate 'max < 800 ms' measured 1")
    assert [gate.passed for gate in summary.gates] == [False]


async def test_invalid_runs_are_left_out(hello: Any):
    """A generator at its limit has no result: said in a note and in the run's row."""
    limits = _LIMITS | {"cpu_ratio": 1e-9}
    tester = RepeatTester(_config(hello.url, generator_limits=limits), Repetition(2, 2))
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert not tester.needs_more_runs
    assert summary.reasons == ["p95: no interval from 0 of 2 runs: it takes two that have a result"]
    assert summary.notes[0].startswith("run 1 is left out: the generator used")
    assert all("left out: the generator used" in line for line in repeat_lines(tester.repeats()))


async def test_a_stop_keeps_the_runs_so_far(hello: Any):
    """The run under way is left out of the interval, since it is shorter than the others."""
    tester = RepeatTester(_config(hello.url, duration_seconds=0.5), Repetition(9, 9))
    task = asyncio.create_task(tester.run_load_test())
    while len(tester.documents) < 2:  # noqa: ASYNC110 - the end of a run is no event
        await asyncio.sleep(0.02)
    task.cancel()
    summary = await task
    rows = tester.repeats().runs
    assert 2 <= len(rows) <= 4
    assert rows[-1].left_out == "interrupted"
    assert tester.repeats().counted == len(rows) - 1
    assert summary.end_reason == "interrupted"
    assert summary.total_requests == len(hello.requests)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"load": {"shape": "breakpoint"}}, "a breakpoint search is not repeated"),
        ({"duration_seconds": 0}, "that ends"),
    ],
)
def test_what_cannot_be_repeated(changes: dict[str, Any], problem: str):
    """Before anything runs."""
    with pytest.raises(ConfigError, match=problem):
        RepeatTester(_config("http://127.0.0.1:1", **changes), Repetition(2, 2))


@pytest.mark.parametrize(
    ("asked", "repetition"),
    [
        ((None, None, None, None), None),
        ((1, None, None, None), None),
        ((4, None, None, None), Repetition(4, 4)),
        ((None, 0.05, None, None), Repetition(5, 20, 0.05)),
        ((None, 0.05, 3, 60), Repetition(3, 3, 0.05, 60)),
        ((8, 0.05, None, None), Repetition(8, 20, 0.05)),
        ((30, 0.05, None, None), Repetition(30, 30, 0.05)),
        ((1, 0.05, None, None), Repetition(2, 20, 0.05)),
    ],
)
def test_what_the_flags_ask_for(asked: tuple[Any, ...], repetition: Repetition | None):
    """A number of runs, a width, or both: then at least so many."""
    assert Repetition.of(*asked) == repetition


@pytest.mark.parametrize("asked", [(3, None, 5, None), (None, None, None, 60), (9, 0.05, 5, None)])
def test_flags_that_exclude_each_other(asked: tuple[Any, ...]):
    """A bound on runs for an interval that nobody asked for, and a least number above the most."""
    with pytest.raises(ConfigError, match="--max-repeats"):
        Repetition.of(*asked)


def test_the_gate_of_the_worst_run():
    """Failed before no data before passed."""
    results: list[Callable[[], GateResult]] = [
        lambda: GateResult("a", passed=True, value=1.0),
        lambda: GateResult("a", passed=None, value=None),
        lambda: GateResult("a", passed=False, value=9.0),
    ]
    summaries = [replace(summarize("t", Book(Labels()), 1), gates=[make()]) for make in results]
    for order in itertools.permutations(summaries):
        assert worst_gates(list(order)) == [GateResult("a", passed=False, value=9.0)]


async def test_every_report_has_the_runs(hello: Any, tmp_path: Path):
    """The JSON report loads again; HTML and Markdown have a row for each run and the interval."""
    tester = RepeatTester(_config(hello.url, duration_seconds=0.2), Repetition(2, 2))
    document = tester.document(await tester.run_load_test())
    path = tmp_path / "report.json"
    path.write_bytes(RENDERERS["json"](document))
    assert from_json(path).repeats == document.repeats
    page = RENDERERS["html"](document).decode()
    assert "<h2>Runs</h2>" in page
    assert document.repeats is not None
    assert document.repeats.sentence() in page
    assert "| 2 | passed |" in RENDERERS["markdown"](document).decode()


@pytest.mark.parametrize(("text", "worst"), [("p95 < 5", 3.0), ("rate > 1", 2.0), ("a name", 2.5)])
def test_the_gate_that_passed_is_that_of_its_worst_run(text: str, worst: float):
    """By the side of its bound; one that has only a name is that of the first run."""
    values = [2.5, 3.0, 2.0]
    summaries = [
        replace(summarize("t", Book(Labels()), 1), gates=[GateResult(text, passed=True, value=value)])
        for value in values
    ]
    assert [gate.value for gate in worst_gates(summaries)] == [worst]
