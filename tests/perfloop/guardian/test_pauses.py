from __future__ import annotations

from itertools import pairwise

from perfloop.stack.guardian.pauses import Pauses
from perfloop.stack.guardian.resurrection import LONGEST_PAUSE_SECONDS, find_pause


def test_pauses_grow_to_a_minute_and_never_end() -> None:
    """Each is at least as long as the one before, the thousandth too is a minute."""
    pauses = [find_pause(attempt) for attempt in range(1, 1000)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert all(before <= after for before, after in pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_a_component_waits_out_its_pause() -> None:
    """One that came to stay begins with the shortest pause again."""
    pauses = Pauses()
    assert pauses.is_over("demo", 0)
    assert pauses.begin("demo", 0) == 1
    assert not pauses.is_over("demo", 0.9)
    assert pauses.is_over("demo", 1)
    assert pauses.begin("demo", 1) == 2
    assert pauses.is_over("inbox", 1)
    pauses.forget("demo")
    assert pauses.begin("demo", 2) == 1
