"""State: what survives restarts, kills and newer versions, in both databases."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from perfloop_analyzer.errors import ConfigError, NotFoundError, StoreError, TransitionError
from perfloop_analyzer.identifiers import slug
from perfloop_analyzer.planning.costs.progress import Baseline
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.store import Database
from perfloop_analyzer.store.tables import Base

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0


def make(identifier: str = "slow-queries-shop-1", title: str = "Database: faster") -> Recommendation:
    """A recommendation with the least in it."""
    return Recommendation(
        identifier, "slow_queries", "shop", "database", "database", "high", title, "do", "low", "none", ("x",), ({},)
    )


def test_life_of_a_recommendation_survives_restarts(url: str) -> None:
    """Accepted and implemented states outlive the process; each step is remembered with its time."""
    recommendation = make(f"life-{time.monotonic_ns()}")
    first = Database(url)
    assert [one.state for one in first.merge([recommendation], 10.0)] == ["open"]
    first.transition(recommendation.id, "accept", 11.0)
    first.close()
    second = Database(url)
    (merged,) = second.merge([replace(recommendation, title="new words")], 12.0)
    assert (merged.state, merged.created, merged.title) == ("accepted", 10.0, "Database: faster")
    second.transition(recommendation.id, "implement", 13.0)
    assert [event["step"] for event in second.events(recommendation.id)] == ["open", "accept", "implement"]
    second.close()


def test_steps_that_a_state_forbids_are_refused(url: str) -> None:
    """A dismissed recommendation cannot be implemented; one that is not there is not found."""
    database, recommendation = Database(url), make(f"step-{time.monotonic_ns()}")
    database.merge([recommendation], 1.0)
    database.transition(recommendation.id, "dismiss", 2.0)
    with pytest.raises(TransitionError, match="is dismissed: implement needs one that is accepted, healed, open"):
        database.transition(recommendation.id, "implement", 3.0)
    assert database.transition(recommendation.id, "reopen", 4.0).state == "open"
    with pytest.raises(NotFoundError, match="no recommendation has the id 'nobody'"):
        database.transition("nobody", "accept", 5.0)
    database.close()


def test_of_two_people_who_decide_together_one_succeeds(url: str) -> None:
    """The other one is refused, and both know it; nothing is decided twice."""
    database = Database(url)
    for number in range(8):
        name = f"both-{time.monotonic_ns()}-{number}"
        database.merge([make(name)], 1000.0, 0.0)
        start = threading.Barrier(2)

        def decide(step: str, name: str = name, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                return database.transition(name, step, 1001.0).state
            except TransitionError as error:
                return str(error)

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(decide, ("implement", "dismiss")))
        (stored,) = (one for one in database.recommendations() if one.id == name)
        refused = [answer for answer in answers if "needs one that is" in answer]
        assert len(refused) == 1
        assert stored.state in answers
        assert [event["step"] for event in database.events(name)][1:] in (["implement"], ["dismiss"])
    database.close()


def test_what_ends_by_itself_heals_with_the_last_time_it_was_seen_and_returns(tmp_path: Path) -> None:
    """After two minutes without its finding, not an hour; the same finding opens it again."""
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.merge([make()], 1000.0)
    database.merge([], 1119.0)
    assert [one.state for one in database.recommendations()] == ["open"]
    database.merge([], 1121.0)
    (healed,) = database.recommendations("healed")
    assert healed.healed_by_itself
    assert healed.values["stood_until"] == 1000.0
    assert healed.reason == "last seen 1970-01-01 00:16:40 UTC; it ended before anybody acted"
    (reopened,) = database.merge([make()], 1122.0)
    assert (reopened.state, reopened.created, reopened.healed_by_itself) == ("open", 1122.0, False)
    database.close()


def test_what_people_decided_on_does_not_heal_by_itself(tmp_path: Path) -> None:
    """Accepted and dismissed ones stay so; what healed by itself is listed among the decided ones for an hour."""
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.merge([make("a"), make("b"), make("c")], 1000.0)
    database.transition("a", "accept", 1001.0)
    database.transition("b", "dismiss", 1001.0)
    database.merge([], 5000.0)
    states = {one.id: one.state for one in database.recommendations()}
    assert states == {"a": "accepted", "b": "dismissed", "c": "healed"}
    assert {one.id for one in database.decided(0.0)} == {"a", "c"}
    database.transition("a", "implement", 9000.0)
    assert {one.id for one in database.decided(0.0)} == {"a"}
    database.close()


def test_findings_are_one_row_while_they_stand(build: Any, url: str) -> None:
    """A finding of many cycles has one span, though nobody looked for a while; one that began later is a new one."""
    database = Database(url)
    finding = build.finding(service=f"s{time.monotonic_ns()}", onset=1e9)
    for at in (1e9, 1e9 + 10, 1e9 + 20, 1e9 + 900):
        database.write_findings([finding], at)
    database.write_findings([replace(finding, onset=1e9 + 1800)], 1e9 + 1800)
    mine = [one for one in database.findings(1e9) if one.body["service"] == finding.service]
    assert [(one.first_seen, one.last_seen) for one in mine] == [(1e9 + 1800, 1e9 + 1800), (1e9, 1e9 + 900)]
    database.close()


def test_baselines_are_kept(url: str) -> None:
    """What was usual is there after a restart, the newest wins, old ones are left out."""
    database = Database(url)
    database.write_baselines({"cpu": {"step": 600}}, 5e9)
    database.write_baselines({"cpu": {"step": 300}}, 5e9 + 1)
    assert database.baselines(5e9)["cpu"] == {"step": 300}
    assert database.baselines(6e9) == {}
    database.close()


def test_effort_savings_and_the_cost_to_compare_with_are_kept(url: str) -> None:
    """They outlive restarts; the first decision is when saving began, and each currency has its own cost."""
    baseline = Baseline(120.0, 120.0, "EUR", 2.5)
    with contextlib.closing(Database(url)) as database:
        database.merge([make("dear-1")], 1.0)
        # Other tests may have decided in this database before.
        assert (database.first_accepted() or 2.0) >= 2.0
        database.transition("dear-1", "accept", 2.0, effort_hours=3.0)
        database.transition("dear-1", "implement", 3.0)
        database.note_saving("dear-1", {"currency": "EUR", "per_month": 7.0})
        database.note_saving("nobody", {"currency": "EUR", "per_month": 7.0})
        database.write_cost_baseline(replace(baseline, per_hour=9.0))
        database.write_cost_baseline(baseline)
    with contextlib.closing(Database(url)) as database:
        (kept,) = [one for one in database.recommendations("implemented") if one.id == "dear-1"]
        assert (kept.values["effort_hours"], kept.values["saved"]["per_month"]) == (3.0, 7.0)
        assert database.first_accepted() == 2.0
        assert database.cost_baseline(120.0, "EUR") == baseline
        assert database.cost_baseline(120.0, "USD") is None


def test_migrations_make_exactly_the_tables(url: str) -> None:
    """Tables and migrations agree."""
    database = Database(url)
    with database._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_ids_that_no_url_can_name_are_renamed_with_their_steps(url: str) -> None:
    """A database of an earlier version keeps every decision; what was reachable keeps its id."""
    old, service = f"slow-queries-team/{time.monotonic_ns()}-abc123", f"team/{time.monotonic_ns()}"
    database = Database(url)
    with database._engine.begin() as connection:
        body = json.dumps(make(old).as_dict() | {"service": service})
        row = {"id": old, "body": body}
        cast = "CAST(:body AS JSON)" if "postgresql" in url else ":body"
        connection.execute(text(f"INSERT INTO recommendation VALUES (:id, 'accepted', 1, 2, 2, {cast}, 0)"), row)
        step = (
            "INSERT INTO recommendation_event (recommendation, at, step, state) VALUES (:id, 2, 'accept', 'accepted')"
        )
        connection.execute(text(step), {"id": old})
        connection.execute(text("ALTER TABLE recommendation DROP COLUMN absent"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    database.close()
    database = Database(url)
    (found,) = [one for one in database.recommendations() if one.service == service]
    assert found.id == f"slow-queries-{slug(service)}-abc123"
    assert (found.state, found.created) == ("accepted", 1.0)
    assert [one["step"] for one in database.events(found.id)] == ["accept"]
    assert database.transition(found.id, "implement", 3.0).state == "implemented"
    database.close()


def test_a_half_done_migration_is_finished(tmp_path: Path) -> None:
    """A kill between two tables leaves nothing that stops the next start."""
    path = tmp_path / "half.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE recommendation (id VARCHAR(160) PRIMARY KEY, state VARCHAR(16) NOT NULL, "
            "created FLOAT NOT NULL, updated FLOAT NOT NULL, seen FLOAT NOT NULL, body JSON NOT NULL)"
        )
    connection.close()
    database = Database(f"sqlite:///{path}")
    assert len(database.merge([make()], 1.0)) == 1
    database.close()


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    """An older Perfloop does not touch what it does not know."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    Database(url).close()
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="revision 9999, which this version does not know"):
        Database(url)


def test_a_failing_database_is_one_sentence(tmp_path: Path) -> None:
    """A wrong URL, a directory that does not exist, a locked and a full database."""
    with pytest.raises(ConfigError, match=r"--store\.url has value 'nonsense'"):
        Database("nonsense")
    with pytest.raises(StoreError, match="unable to open database file"):
        Database("sqlite:////absent/directory/state.db")
    database = Database(f"sqlite:///{tmp_path / 'busy.db'}")
    blocker = sqlite3.connect(tmp_path / "busy.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="database is locked"):
        database.merge([make()], 1.0)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert len(database.merge([make()], 2.0)) == 1
    with database._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.commit()
    with pytest.raises(StoreError, match="full"):
        database.merge([make(f"{i}", "t" * 900) for i in range(60)], 3.0)
    database.close()


KILLED = """
import sys, time
from perfloop_analyzer.recommend.recommendation import Recommendation
from perfloop_analyzer.store import Database
d = Database(sys.argv[1])
make = lambda i: Recommendation(i, "r", "shop", "database", "database", "high", "t", "do", "low", "none", ("x",), ({},))
d.merge([make("keep")], 1.0)
if d.recommendations()[-1].state == "open" and not d.recommendations("accepted"):
    d.transition("keep", "accept", 2.0)
print("ready", flush=True)
n = 0
while True:
    n += 1
    d.merge([make("keep"), make(f"other-{n % 50}")], 3.0 + n)
"""


def test_sigkill_in_the_middle_of_writing_loses_no_state(tmp_path: Path) -> None:
    """Killed at any moment, the accepted recommendation is still accepted and the database is whole."""
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    for delay in (0.0, 0.013, 0.05, 0.12, 0.2):
        command = [sys.executable, "-c", KILLED, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        with contextlib.closing(Database(url)) as database:
            assert "accepted" in {one.state for one in database.recommendations() if one.id == "keep"}
            with database._engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
