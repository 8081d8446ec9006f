"""A worker that is lost: the others take its share over, and what nobody knows of is counted."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import psutil

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.build import Part, build_run
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = {"cpu_ratio": 9, "event_loop_lag_seconds": 9, "achieved_ratio": 0.5}


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {
        "base_url": url,
        "duration_seconds": 4,
        "workers": 3,
        "on_lost_worker": "take-over",
        "load": {"shape": "constant_rate", "rate": 60},
        "endpoints": [{"path": "/?n=${iteration}", "name": "n"}],
        "generator_limits": LIMITS,
        "thresholds": ["errors < 1 %"],
    }
    return LoadTestConfig.model_validate(base | changes)


def _workers() -> list[psutil.Process]:
    children = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def _kill_the_last_once(tester: LoadTester) -> None:
    def kill(_: float) -> None:
        tester.run.listeners.clear()
        os.kill(_workers()[-1].pid, signal.SIGKILL)

    tester.run.listeners.append(kill)


def _numbers(requests: list[bytes]) -> list[int]:
    return [int(found[1]) for request in requests if (found := re.search(rb"\?n=(\d+)", request))]


async def test_the_others_take_the_share_of_a_killed_worker_over(hello: Any):
    """No arrival is sent twice; those that nobody knows of are counted, and everything adds up to the schedule."""
    tester = LoadTester(_config(hello.url))
    _kill_the_last_once(tester)
    summary = await tester.run_load_test()
    assert tester.run.faults == []
    assert summary.verdict is Verdict.PASSED
    assert summary.total_requests + tester.run.unknown == 240
    assert 0 < tester.run.unknown < 60
    sent = _numbers(hello.requests)
    assert len(sent) == len(set(sent))
    # To the last second arrivals of every remainder of three were sent.
    assert {number % 3 for number in sent if number >= 180} == {0, 1, 2}
    assert sorted(number for number in sent if number >= 180) == list(range(180, 240))
    [lost] = [worker for worker in tester.run.workers() if worker.lost]
    assert (lost.number, lost.lost) == (3, "died before the run was over")
    assert any(note.startswith("worker 3 of 3 died before the run was over; the others took") for note in summary.notes)
    assert any(
        note.startswith(f"{tester.run.unknown} arrivals of the schedule are of workers") for note in summary.notes
    )


async def test_too_much_that_nobody_knows_of_makes_the_run_invalid(hello: Any):
    """More than the limit allows, here a thousandth of the schedule: the service had less load than the test says."""
    tester = LoadTester(_config(hello.url, generator_limits={**LIMITS, "achieved_ratio": 0.999}))
    _kill_the_last_once(tester)
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert "the others were due at a worker that was lost" in summary.reasons[0]


async def test_users_are_taken_over(hello: Any):
    """Of a closed load the users go on at the others: as many as before."""
    config = _config(hello.url, load=None, concurrent_users=6, think_time_seconds=0.02, duration_seconds=4)
    tester = LoadTester(config)
    _kill_the_last_once(tester)
    users: list[int] = []
    tester.run.listeners.append(lambda _: users.append(tester.book.load.users))
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.PASSED
    assert hello.connections == 6 + 2
    assert any(note.startswith("worker 3 of 3 died before the run was over; the others took") for note in summary.notes)


async def test_a_share_that_is_joined_later_keeps_its_data(hello: Any, tmp_path: Path):
    """From the second half on, every arrival has the row of data that it would have had."""
    rows = tmp_path / "rows.csv"
    rows.write_text("name\n" + "\n".join(f"row{number}" for number in range(40)) + "\n")
    config = _config(
        hello.url,
        duration_seconds=1,
        workers=1,
        data_file=str(rows),
        load={"shape": "constant_rate", "rate": 40},
        endpoints=[{"path": "/${name}?n=${iteration}", "name": "n"}],
    )
    run = build_run(config, Part((1, 2), 0.5))
    await run.make_ready()
    from perfloop_loadgen.app.build import CLOCK

    began = CLOCK()
    await run.go(began, began + SECOND // 2)
    wanted = [(f"row{number}", f"{number}") for number in range(21, 40, 2)]
    sent = [re.search(rb"/(row\d+)\?n=(\d+)", request) for request in hello.requests]
    assert [(found[1].decode(), found[2].decode()) for found in sent if found] == wanted
