"""The verdict says which of several workers was the limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfloop_loadgen.config.model import GeneratorLimits
from perfloop_loadgen.runner.watch import Cards
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary.verdict import Generator
from perfloop_loadgen.summary.workers import WorkerFigures
from perfloop_loadgen.thresholds.decide import generator_faults, schedule_faults

LIMITS = GeneratorLimits()
FINE = [
    WorkerFigures(number, 3, f"tcp://10.0.0.{number}:4000", schedule_lag_p99_seconds=0.001) for number in range(1, 4)
]
SECOND_WORKER = "worker 2 of 3 (tcp://10.0.0.2:4000)"
QUEUEING = "its own queueing is in the response times; give it more workers or less load"
ELSE = "something else kept its core busy"
OWN = "it was late for a reason of its own machine"


def _faults(**changes: float) -> list[str]:
    workers = [FINE[0], replace(FINE[1], **changes), FINE[2]]
    return generator_faults(LIMITS, Generator(0.99, 0.99, 9.0, 3), Tally(), workers)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, []),
        (
            {"cpu_ratio": 0.97},
            [f"{SECOND_WORKER} used 97% of its core (limit 90%): {QUEUEING}"],
        ),
        (
            {"event_loop_lag_p99_seconds": 0.2},
            [f"{SECOND_WORKER}'s event loop was late by 200 ms at p99 (limit 50 ms): {ELSE}"],
        ),
        (
            {"network_ratio": 0.98},
            [f"{SECOND_WORKER}'s network card was used to 98% of its speed (limit 90%): answers waited for each other"],
        ),
        (
            {"schedule_lag_p99_seconds": 0.4},
            [f"{SECOND_WORKER} was 400 ms behind its schedule at p99, the others 1 ms: {OWN}"],
        ),
        # Below the limit of an event loop's lag nobody would notice.
        ({"schedule_lag_p99_seconds": 0.04}, []),
    ],
    ids=["fine", "CPU", "event loop", "network", "straggler", "a little late"],
)
def test_the_worker_that_was_the_limit_is_named(changes: dict[str, float], sentences: list[str]):
    """One sentence for each limit that it reached; none for the sum, which has no limits of its own."""
    assert _faults(**changes) == sentences


def test_workers_that_are_all_late_are_not_stragglers():
    """The service was slow, and arrivals waited for a free connection everywhere."""
    late = [replace(worker, schedule_lag_p99_seconds=0.4 + worker.number / 10) for worker in FINE]
    assert generator_faults(LIMITS, Generator(), Tally(), late) == []


def test_arrivals_that_nobody_knows_of_count_as_not_sent():
    """A run of which more than a hundredth is unknown has no result, and the reason is not max_in_flight."""
    tally = Tally()
    tally.outcomes["ok"] = 980
    assert schedule_faults(LIMITS, tally) == []
    [sentence] = schedule_faults(LIMITS, tally, 20)
    assert sentence == (
        "980 of 1000 planned requests were sent (98.00%, limit 99%): the others were due at a worker that was lost"
    )


def test_a_network_card_is_watched_against_its_speed(monkeypatch: pytest.MonkeyPatch):
    """100 Mbit/s: 10 MB in a second is 80 %; what has no speed, or is local alone, is not looked at."""
    moved = {"eth0": 0, "lo": 0, "tun0": 0}

    class Stats:
        def __init__(self, speed: int) -> None:
            self.isup, self.speed = True, speed

    class Counters:
        def __init__(self, count: int) -> None:
            self.bytes_sent, self.bytes_recv = count, 0

    cards = {"eth0": Stats(100), "lo": Stats(10), "tun0": Stats(0)}
    monkeypatch.setattr("psutil.net_if_stats", lambda: cards)
    monkeypatch.setattr("psutil.net_io_counters", lambda pernic: {name: Counters(moved[name]) for name in moved})
    watched = Cards()
    moved = {"eth0": 10_000_000, "lo": 10**12, "tun0": 10**12}
    assert watched.look(SECOND) == pytest.approx(0.8)
    assert watched.look(SECOND) == 0
    moved = {"eth0": 20_000_000, "lo": 10**12, "tun0": 10**12}
    assert watched.look(SECOND // 100) == 0
