"""What became of a rule's expectations, and what that makes of its next one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from perfloop_analyzer.recommend.recommendation import Improvement, Recommendation
from perfloop_analyzer.recommend.track_record import TrackRecord, count_outcomes, learn_track_records, weigh


def _expected(ratio: float, spread: float = 0.1, *, at_least: bool = False) -> Improvement:
    return Improvement(ratio, ratio - spread, ratio + spread, "m", "f", "why", "time of shop", at_least)


def _one(name: str, state: str, improvement: Improvement | None, rule: str = "slow", **values: Any) -> Recommendation:
    return Recommendation(
        name,
        rule,
        "shop",
        "database",
        "c",
        "high",
        "t",
        "do",
        "low",
        "none",
        (),
        (),
        (),
        improvement,
        state,
        0,
        0,
        values,
    )


def _measured(gain: float) -> dict[str, float]:
    return {"gain": gain, "low": gain - 0.05, "high": gain + 0.05}


def test_outcomes_are_proofs_and_measured_gains_of_what_is_known() -> None:
    """A proof counts before the measurement; of what was confounded, or healed by itself, nobody knows anything."""
    expected = _expected(0.5)
    found = learn_track_records(
        [
            _one("a", "validated", expected, measured=_measured(0.5)),
            _one("b", "refuted", expected, measured=_measured(0.0)),
            _one("c", "open", expected, proved={"verdict": "proved", "gain": 0.55}),
            _one("d", "validated", expected, measured=_measured(0.1), proved={"verdict": "proved", "gain": 0.5}),
            _one("e", "confounded", expected, measured=_measured(0.5)),
            _one("f", "open", expected, proved={"verdict": "undecided", "gain": 0.5}),
            _one("g", "validated", None, measured=_measured(0.5)),
            _one("h", "open", expected, rule="other"),
        ]
    )
    assert set(found) == {"slow"}
    assert (found["slow"].outcomes, found["slow"].inside) == (4, 3)
    # By hand: 1, a tenth (the least that one outcome may say), 1.1 and 1, and two earlier ones that held.
    assert found["slow"].factor == pytest.approx((1.0 * 0.1 * 1.1 * 1.0) ** (1 / 6))
    assert count_outcomes(found) == [(("slow", "true"), 3.0), (("slow", "false"), 1.0)]


def test_an_expectation_is_judged_as_it_was_when_its_outcome_became_known() -> None:
    """What is expected now has learned from the outcome itself."""
    proved = {"verdict": "proved", "gain": 0.2, "expected": _expected(0.5).as_dict()}
    found = learn_track_records([_one("a", "open", _expected(0.2), proved=proved)])
    assert found["slow"].inside == 0
    assert found["slow"].factor == pytest.approx(0.4 ** (1 / 3))


def test_more_than_at_least_is_within() -> None:
    """Of a metric that is cut off more may go away."""
    more = _one("a", "validated", _expected(0.5, at_least=True), measured=_measured(0.9))
    assert learn_track_records([more])["slow"].inside == 1


def test_the_next_expectation_is_weighed_and_says_so() -> None:
    """Ratio and bounds are multiplied, never beyond the whole; without outcomes nothing changes."""
    expected = _expected(0.5)
    assert weigh(expected, None) is expected
    less = weigh(expected, TrackRecord(3, 2, 0.8))
    assert (less.ratio, less.low, less.high) == pytest.approx((0.4, 0.32, 0.48))
    assert less.explanation == "why; times 0.8: of 3 earlier changes by this rule 2 brought what was expected"
    more = weigh(_expected(0.9), TrackRecord(1, 0, 1.26))
    assert (more.ratio, more.high) == (1.0, 1.0)
    assert "of 1 earlier change by this rule 0" in more.explanation


def test_one_outcome_moves_an_expectation_by_a_third_of_its_way() -> None:
    """On the logarithmic scale, since two that held are taken for granted."""
    half = learn_track_records([_one("a", "validated", _expected(0.5), measured=_measured(0.25))])
    assert math.log(half["slow"].factor) == pytest.approx(math.log(0.5) / 3)
