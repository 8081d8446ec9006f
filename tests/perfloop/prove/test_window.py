"""Whose load is replayed: that of the incident, and none that an earlier proof sent."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop.prove.app import LONGEST_INCIDENT, SHORTEST_INCIDENT, SWITCH_SECONDS, find_window
from perfloop.prove.config import ProofConfig
from perfloop_analyzer.recommend import Recommendation
from perfloop_base.errors import ConfigError

CREATED, NOW = 10_000.0, 13_000.0
TEXTS = ("id", "rule", "service", "component", "category", "priority", "title", "action", "effort", "cost")


def _recommendation(**values: Any) -> Recommendation:
    texts: dict[str, Any] = dict.fromkeys(TEXTS, "x")
    return Recommendation(**texts, affects=(), evidence=(), improvement=None, values=values, created=CREATED)


@pytest.mark.parametrize(
    ("tried", "window"),
    [
        ((), (NOW - LONGEST_INCIDENT, NOW)),
        # Long ago: all of what is replayed came afterwards.
        (((10_100.0, 10_400.0),), (NOW - LONGEST_INCIDENT, NOW)),
        # It has just ended: the load before it.
        (((12_500.0, 12_990.0),), (12_490.0 - LONGEST_INCIDENT, 12_490.0)),
        (((12_500.0, 12_700.0),), (12_710.0, NOW)),
        # Two of them, with too little in between and after; in any order.
        (((12_700.0, 12_980.0), (12_300.0, 12_680.0)), (12_290.0 - LONGEST_INCIDENT, 12_290.0)),
        # One within the other.
        (((12_000.0, 12_980.0), (12_400.0, 12_500.0)), (11_990.0 - LONGEST_INCIDENT, 11_990.0)),
        # Proofs all the time: there is nothing else.
        (((CREATED + 20, NOW - 20),), (NOW - LONGEST_INCIDENT, NOW)),
    ],
    ids=["none", "before", "just ended", "after", "two", "nested", "all the time"],
)
def test_no_load_of_a_proof_is_replayed(tried: Any, window: tuple[float, float]) -> None:
    """The newest stretch of the incident that is long enough and outside every proof."""
    assert find_window(_recommendation(), ProofConfig(), tried, NOW) == window


def test_the_windows_end_is_that_of_the_trouble() -> None:
    """What came after it was over is no load of the incident."""
    ended = _recommendation(stood_until=CREATED + 300.0)
    assert find_window(ended, ProofConfig(), (), NOW) == (CREATED, CREATED + 300.0)
    young = _recommendation(stood_until=CREATED + 5.0)
    assert find_window(young, ProofConfig(), (), NOW) == (CREATED + 5.0 - SHORTEST_INCIDENT, CREATED + 5.0)


def test_what_the_flags_say_counts_whatever_was_proved() -> None:
    """A person knows what that load was."""
    tried = ((CREATED, NOW - SWITCH_SECONDS),)
    config = ProofConfig(start=CREATED + 100.0, end=CREATED + 400.0)
    assert find_window(_recommendation(), config, tried, NOW) == (CREATED + 100.0, CREATED + 400.0)
    with pytest.raises(ConfigError, match="are no past to replay"):
        find_window(_recommendation(), ProofConfig(end=NOW + 60.0), tried, NOW)
