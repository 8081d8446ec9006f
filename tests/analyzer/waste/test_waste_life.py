"""The life of a recommendation against waste in the database, and how people see it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from perfloop_analyzer.ports import Result
from perfloop_analyzer.recommend import learn_track_records
from perfloop_analyzer.reporters.html import Record, render_report
from perfloop_analyzer.reporters.terminal import print_result
from perfloop_analyzer.store import Database
from perfloop_analyzer.waste import find_waste
from tests.analyzer.waste.known_uses import CATALOG, NOW, batch, known, learn, size, use

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_analyzer.recommend import Recommendation

HOUR = 3600.0
POOL = {"service": "shop", "pool": "main"}
MEASURED = {"gain": 0.78, "low": 0.78, "high": 0.78, "p_value": 0.0, "before": 50.0, "after": 11.0}


@pytest.fixture
def pool() -> Recommendation:
    """A pool of fifty connections of which three were in use at most."""
    learned = learn(batch("waste_pool:use", use(2.0), **POOL))
    (found,) = find_waste(learned, {"db_pool_size": size("db_pool_size", 50.0, **POOL)}, known()).recommendations
    return found


def test_what_harmed_once_is_not_recommended_again_by_itself(pool: Recommendation, tmp_path: Path) -> None:
    """Somebody takes the change back, and the waste is there as before: it stays refuted until a person reopens it."""
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.merge([pool], NOW, 0.0)
    database.transition(pool.id, "accept", NOW + 10)
    database.transition(pool.id, "implement", NOW + 20)
    database.merge([], NOW + HOUR, HOUR)
    database.conclude(pool.id, "refute", MEASURED, NOW + HOUR, "API response time rose")
    for hours in (2, 9):
        (found,) = database.merge([pool], NOW + hours * HOUR, 3 * HOUR)
        assert found.state == "refuted"
        database.merge([], NOW + (hours + 3) * HOUR, 3 * HOUR)
    assert database.transition(pool.id, "reopen", NOW + 20 * HOUR).state == "open"
    database.close()


def test_what_was_validated_is_an_outcome_of_its_rule(pool: Recommendation, tmp_path: Path) -> None:
    """Within its bounds, and it comes back when it is too large again."""
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.merge([pool], NOW, 0.0)
    database.transition(pool.id, "implement", NOW + 20)
    database.conclude(pool.id, "validate", MEASURED, NOW + HOUR, "-78%, and no rise")
    records = learn_track_records(database.recommendations())
    assert (records["waste_pool"].outcomes, records["waste_pool"].inside) == (1, 1)
    database.merge([], NOW + HOUR, HOUR)
    (again,) = database.merge([pool], NOW + 9 * HOUR, 8 * HOUR)
    assert again.state == "open"
    database.close()


def test_people_see_the_size_the_gain_and_the_risk(pool: Recommendation) -> None:
    """In the report and in the terminal, without a level that is said to have changed already."""
    result = Result(NOW, recommendations=(pool,))
    page = render_report(result, {}, Record(catalog=tuple(CATALOG.values())))
    assert f"Risk: {pool.values['risk']}" in page
    assert "Connection pool size is 50 connections, and" in page
    assert "would be enough" in page
    text = io.StringIO()
    print_result(result, Console(file=text, width=400))
    assert f"risk: {pool.values['risk']}" in text.getvalue()
    assert "expected gain: Connection pool size of shop" in text.getvalue()
