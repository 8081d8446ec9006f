"""What becomes of a size that was reduced, for each thing that may happen with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfloop_analyzer.waste.conclusion import Reduced, Watched, conclude_reduced, find_acted

MARKED = 90  # points before the mark


def _watched(
    level: float, after: float, since: int, *, noise: float = 0.03, seed: int = 1, **changes: object
) -> Watched:
    """A signal whose level goes from one to the other at the mark."""
    points = MARKED + 1 + since
    levels = np.where(np.arange(points) < MARKED, level, after)
    values = levels * (1 + noise * np.random.default_rng(seed).standard_normal(points))
    return Watched(**{"title": "Latency of shop", "unit": "seconds", "values": values, "least": 0.001} | changes)  # type: ignore[arg-type]


def _reduced(since: int = 12, *, acts: int = 0, to: float = 512.0, **changes: object) -> Reduced:
    """A memory limit that fell so many points after the mark."""
    points = MARKED + 1 + since
    size = np.where(np.arange(points) < MARKED + acts, 2048.0, to)
    fields: dict[str, object] = {
        "title": "Memory limit of shop",
        "unit": "MiB",
        "size": size,
        "before": 2048.0,
        "marked": MARKED,
        "watched": (_watched(0.2, 0.2, since),),
        "load": _watched(20.0, 20.0, since, seed=2).values,
        "passed": 60.0 * since,
    }
    return Reduced(**fields | changes)  # type: ignore[arg-type]


def _step(seen: Reduced) -> str:
    found = conclude_reduced(seen)
    return found.step if found else "later"


def test_what_fell_and_harmed_nothing_is_validated() -> None:
    """After ten windows; the sentence says how much less it is, and of what no rise was seen."""
    assert _step(_reduced(10)) == "later"
    found = conclude_reduced(_reduced(12))
    assert found is not None
    assert (found.step, found.words) == ("validate", "-75%, and no rise of Latency of shop")
    assert found.verdict is not None
    assert (found.verdict.gain, found.verdict.low, found.verdict.before, found.verdict.after) == (0.75, 0.75, 2048, 512)


@pytest.mark.parametrize(("acts", "since"), [(-20, 12), (-2, 12), (3, 15), (25, 37)])
def test_the_size_shows_when_the_change_acted(acts: int, since: int) -> None:
    """Whoever marks it early or late: what was before is compared with what was after."""
    seen = _reduced(since, acts=acts)
    assert find_acted(seen) == MARKED + acts
    assert _step(seen) == "validate"


def test_a_rise_refutes_and_names_the_signal() -> None:
    """Of the response time, of errors where there were none, of kills; a rise with more requests is confounded."""
    slow = _watched(0.2, 0.3, 12)
    found = conclude_reduced(_reduced(12, watched=(slow,)))
    assert found is not None
    assert (found.step, found.words.startswith("Latency of shop went from ")) == ("refute", True)
    errors = _watched(0.0, 0.05, 12, title="Failed requests of shop", unit="ratio", least=0.01)
    assert _step(_reduced(12, watched=(_watched(0.2, 0.2, 12), errors))) == "refute"
    few = replace(errors, values=errors.values * 0.02)
    assert _step(_reduced(12, watched=(_watched(0.2, 0.2, 12), few))) == "validate"
    killed = np.zeros(MARKED + 13)
    killed[MARKED + 7] = 0.01
    kill = Watched("Processes killed of shop", "per_second", killed, is_event=True)
    assert _step(_reduced(12, watched=(_watched(0.2, 0.2, 12), kill))) == "refute"
    busier = _watched(20.0, 40.0, 12, seed=2).values
    assert _step(_reduced(12, watched=(slow,), load=busier)) == "confound"


def test_less_of_a_hit_ratio_is_worse() -> None:
    """Of what should be high the gap to all of it counts."""
    hits = _watched(0.9, 0.7, 12, noise=0.005, title="Hits", unit="ratio", least=0.01, above=False)
    assert _step(_reduced(12, watched=(hits,))) == "refute"
    assert _step(_reduced(12, watched=(replace(hits, values=np.full(MARKED + 13, 0.9)),))) == "validate"


def test_a_size_that_did_not_fall_is_refuted_at_the_last_look() -> None:
    """A roll-out may take a while; after forty windows nothing was changed."""
    assert _step(_reduced(20, to=2048.0)) == "later"
    found = conclude_reduced(_reduced(41, to=2048.0))
    assert found is not None
    assert (found.step, "did not fall" in found.words) == ("refute", True)
    assert _step(_reduced(41, to=2000.0)) == "refute"


def test_what_cannot_be_compared_says_why() -> None:
    """Hardly any load to test it, nothing measured, noise, no values for a day: none of these is a success."""
    idle = _watched(20.0, 5.0, 43, seed=2).values
    assert _step(_reduced(20, load=idle[: MARKED + 21])) == "later"
    assert _step(_reduced(43, load=idle)) == "confound"
    nothing = conclude_reduced(_reduced(43, watched=(), load=None))
    assert nothing is not None
    assert (nothing.step, "nothing is measured" in nothing.words) == ("give_up", True)
    wild = conclude_reduced(_reduced(43, watched=(_watched(0.2, 0.2, 43, noise=0.6),)))
    assert wild is not None
    assert (wild.step, "too little is seen" in wild.words) == ("give_up", True)
    silent = _reduced(12, size=np.full(MARKED + 13, np.nan))
    assert _step(silent) == "later"
    assert _step(replace(silent, passed=90_000.0)) == "give_up"


def test_a_change_that_did_nothing_is_seldom_called_harmful() -> None:
    """Of 40 reductions without any effect, three signals each, at most one is refuted."""
    refuted = 0
    for seed in range(40):
        three = tuple(_watched(0.2, 0.2, 12, noise=0.1, seed=10 * seed + at) for at in range(3))
        refuted += _step(_reduced(12, watched=three)) == "refute"
    assert refuted <= 1


def test_a_harm_is_seldom_called_none() -> None:
    """Of 15 reductions that make responses a fifth slower, at most one is validated."""
    validated = 0
    for seed in range(15):
        slower = _watched(0.2, 0.24, 43, noise=0.05, seed=seed)
        validated += _step(_reduced(43, watched=(slower,))) == "validate"
    assert validated <= 1


def test_usual_noise_is_no_reason_to_know_nothing() -> None:
    """Of 12 reductions without any effect, under noise of a tenth, at least eight are validated by the last look."""
    validated = 0
    for seed in range(12):
        same = _watched(0.2, 0.2, 43, noise=0.1, seed=seed)
        validated += _step(_reduced(43, watched=(same, same, same))) == "validate"
    assert validated >= 8
