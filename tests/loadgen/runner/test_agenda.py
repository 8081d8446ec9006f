"""Appointments, kept by the event loop that runs the tests."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from perfloop_loadgen.runner.agenda import Agenda

if TYPE_CHECKING:
    from collections.abc import Callable

MILLISECOND = 1_000_000


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(30_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def _lags(offsets: list[int]) -> list[int]:
    """Make appointments at offsets from now and return how late each was kept, in the order of keeping."""
    agenda = Agenda(time.monotonic_ns)
    began = time.monotonic_ns()
    kept: list[int] = []
    for offset in offsets:
        agenda.at(began + offset, lambda now, due=began + offset: kept.append(now - due))
    await _until(lambda: len(kept) == len(offsets))
    agenda.close()
    return kept


async def test_appointments_are_kept_to_a_fraction_of_a_millisecond():
    """The best of a hundred is less than 0.3 ms late, however busy the machine is; none is early."""
    lags = await _lags([number * MILLISECOND * 7 // 3 for number in range(1, 101)])
    assert min(lags) < 0.3 * MILLISECOND
    assert all(lag >= 0 for lag in lags)


async def test_a_later_appointment_made_first_does_not_hide_an_earlier_one():
    """Appointments are kept in the order of their times, not of their making."""
    agenda = Agenda(time.monotonic_ns)
    began = time.monotonic_ns()
    kept: list[str] = []
    agenda.at(began + 40 * MILLISECOND, lambda _: kept.append("later"))
    agenda.at(began + 5 * MILLISECOND, lambda _: kept.append("earlier"))
    agenda.at(began - MILLISECOND, lambda _: kept.append("overdue"))
    await _until(lambda: len(kept) == 3)
    agenda.close()
    assert kept == ["overdue", "earlier", "later"]


async def test_a_closed_agenda_calls_nobody():
    """What is not due yet when the run ends is forgotten."""
    agenda = Agenda(time.monotonic_ns)
    kept: list[int] = []
    agenda.at(time.monotonic_ns() + 5 * MILLISECOND, kept.append)
    agenda.close()
    await asyncio.sleep(0.02)
    assert kept == []
