"""The lane for pages: the newest first, the oldest refused."""

from __future__ import annotations

import asyncio

import pytest

from perfloop_base.web.lane import Lane


async def _visit(lane: Lane, number: int, seen: list[int]) -> bool:
    async with lane.place() as entered:
        if entered:
            seen.append(number)
            await asyncio.sleep(0.01)
    return entered


async def test_the_newest_passes_first_and_the_oldest_is_refused():
    """One passes at once, three wait, and of six the oldest two that wait are refused."""
    lane, seen = Lane(width=1, most_waiting=3), []
    visits = await asyncio.gather(*(_visit(lane, number, seen) for number in range(6)))
    assert visits == [True, False, False, True, True, True]
    assert seen == [0, 5, 4, 3]
    assert await _visit(lane, 6, seen)


@pytest.mark.parametrize("moment", [0.0, 0.005, 0.015])
async def test_a_visit_that_is_cancelled_leaves_its_place(moment: float):
    """While it waits, and with the place just given to it."""
    lane, seen = Lane(width=1, most_waiting=3), []
    first, second = (asyncio.create_task(_visit(lane, number, seen)) for number in range(2))
    await asyncio.sleep(moment)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with asyncio.timeout(1):
        assert await _visit(lane, 2, seen)
