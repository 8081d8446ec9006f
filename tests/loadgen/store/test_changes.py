"""Changes over the runs of a test: which figure, with which run, and what else differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfloop_loadgen.store.changes import changes_by_run, changes_of, short
from perfloop_loadgen.store.stored import StoredRun
from tests.loadgen.stored_runs import run


def runs(*p95: float, **changes: object) -> list[StoredRun]:
    """Return runs of one test with these p95, with a small spread."""
    found = [StoredRun.of(run(number)) for number in range(len(p95))]
    return [
        replace(one, p95_seconds=value * (1 + 0.004 * (number % 3)), **changes)  # type: ignore[arg-type] # as given
        for number, (one, value) in enumerate(zip(found, p95, strict=True))
    ]


def test_a_change_names_its_run_and_what_differs():
    """The version and the revision that the first run of the new level has."""
    history = runs(*[0.1] * 8, *[0.13] * 6)
    history = [
        replace(one, labels={"version": "1.3" if at < 8 else "1.4"}, revision=("a" if at < 8 else "b") * 40)
        for at, one in enumerate(history)
    ]
    [change] = changes_of(history)
    assert (change.figure.name, change.run, change.is_worse) == ("p95", history[8], True)
    assert change.sentence() == (
        f"p95 100 ms → 131 ms (+30%) from the run {history[8].run_id} on: "
        "version 1.3 → 1.4, revision aaaaaaaa → bbbbbbbb"
    )


def test_a_change_of_the_test_or_the_machine_is_said():
    """Such a change is not one of the service."""
    history = runs(*[0.1] * 8, *[0.07] * 6)
    history = [one if at < 8 else replace(one, config_hash="other", host="elsewhere") for at, one in enumerate(history)]
    [change] = changes_of(history)
    assert not change.is_worse
    assert change.sentence().endswith(
        f"the test itself was changed, the load came from elsewhere instead of {history[0].host}"
    )


def test_runs_that_prove_nothing_make_no_change():
    """Killed and invalid runs, however many in a row."""
    history = runs(*[0.1] * 8, *[0.5] * 6, *[0.1] * 4)
    assert len(changes_of(history)) == 2
    assert changes_of([replace(one, state="killed") if 8 <= at < 14 else one for at, one in enumerate(history)]) == []
    assert (
        changes_of([replace(one, verdict="invalid") if 8 <= at < 14 else one for at, one in enumerate(history)]) == []
    )


def test_errors_that_begin_are_a_change():
    """From no failed request at all."""
    history = [replace(one, failed=0 if at < 8 else 20) for at, one in enumerate(runs(*[0.1] * 14))]
    [change] = changes_of(history)
    assert (change.figure.name, change.is_worse) == ("failed requests", True)
    assert change.what == "failed requests 0% → 9.9%"
    assert change.sentence().endswith("nothing else is known to differ")


def test_each_test_has_changes_of_its_own():
    """Runs of several tests in any order."""
    shop, cart = runs(*[0.1] * 8, *[0.2] * 6), runs(*[0.3] * 14, test="cart")
    mixed = [one for pair in zip(cart, shop, strict=True) for one in pair][::-1]
    assert changes_by_run(mixed) == {shop[8].run_id: "p95 100 ms → 201 ms (+100%)"}


@pytest.mark.parametrize(
    ("revision", "shown"), [("a" * 40, "aaaaaaaa"), ("a" * 40 + "-dirty", "aaaaaaaa-dirty"), ("", "")]
)
def test_a_commit_is_shown_short(revision: str, shown: str):
    """With the mark of changed files."""
    assert short(revision) == shown
