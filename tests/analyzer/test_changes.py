"""Recorded changes: what was implemented and which limits were changed, when, once, and not for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.app import open_loop
from perfloop_analyzer.changes import KEEP_SECONDS, MOST, Change, configured
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.ports import Result
from perfloop_analyzer.reporters.metrics import result_families
from perfloop_analyzer.store import Database
from tests.analyzer.test_loop import Scripted
from tests.analyzer.test_store import make

if TYPE_CHECKING:
    from pathlib import Path

NOW = 2e9


def _exposed(result: Result) -> list[tuple[dict[str, str], float]]:
    name = "perfloop_change_timestamp_seconds"
    families = [family for family in result_families(result) if family.name == name]
    return [(sample.labels, sample.value) for family in families for sample in family.samples]


def test_an_implemented_recommendation_is_a_change(tmp_path: Path) -> None:
    """With its moment and its title; accepting it changes nothing yet. A restart keeps it."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    database = Database(url)
    database.merge([make("one", "Database: faster")], NOW)
    database.transition("one", "accept", NOW + 1)
    assert database.changes(0.0) == ()
    database.transition("one", "implement", NOW + 2)
    database.close()
    database = Database(url)
    (change,) = database.changes(0.0)
    assert (change.at, change.service, change.kind) == (NOW + 2, "shop", "recommendation")
    assert change.title == "implemented: Database: faster"
    ((labels, moment),) = _exposed(Result(NOW + 3, changes=(change,)))
    assert set(labels) == {"id", "service", "kind", "title"}
    assert moment == NOW + 2
    database.close()


def test_changes_are_bounded_in_number_and_age(tmp_path: Path) -> None:
    """The newest fifty of seven days; the same one recorded twice is one; a month later it is deleted."""
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    for day in range(70):
        database.record_change(Change(f"id-{day}", NOW + day, "shop", "deployment", "x" * 999))
        database.record_change(Change(f"id-{day}", NOW + day, "shop", "deployment", "x" * 999))
    found = database.changes(NOW + 70 - KEEP_SECONDS)
    assert [one.id for one in found] == [f"id-{day}" for day in range(69, 69 - MOST, -1)]
    assert all(len(one.title) <= 200 for one in found)
    assert database.changes(NOW + 60)[-1].id == "id-60"
    database.record_change(Change("later", NOW + 40 * 86_400, "shop", "deployment", "y"))
    assert [one.id for one in database.changes(0.0)] == ["later"]
    database.close()


def test_a_change_of_limits_names_its_signals() -> None:
    """At most three of them; without any, what else the files hold."""
    assert configured(["A", "B"], NOW).title == "limits changed: A, B"
    assert configured(list("ABCDE"), NOW).title == "limits changed: A, B, C and 2 more"
    assert configured([], NOW).title == "signals, rules or call graph changed"


async def test_changed_thresholds_are_recorded_when_they_are_taken_up(tmp_path: Path, build: Any) -> None:
    """A file that is replaced while the analyzer runs is a change; reading it at the start is none."""
    path = tmp_path / "thresholds.yml"
    path.write_text(build.thresholds(build.threshold(signal="lag", title="Queue lag", warning=5, critical=9)))
    config = RunConfig(SourceConfig("http://127.0.0.1:1"), thresholds_file=path)
    async with open_loop(config) as (loop, database):
        # A source that answers, in place of a Prometheus.
        from perfloop_analyzer.ports import Responses

        loop._source = Scripted(Responses({"lag": build.batch([1.0] * 30, "lag")}, {}))
        first = await loop.cycle(NOW)
        assert first is not None
        assert first.changes == ()
        path.write_text(build.thresholds(build.threshold(signal="lag", title="Queue lag", warning=6, critical=9)))
        second = await loop.cycle(NOW + 10)
        assert second is not None
        assert [(one.at, one.title) for one in second.changes] == [(NOW + 10, "limits changed: Queue lag")]
        third = await loop.cycle(NOW + 20)
        assert third is not None
        assert replace(third.changes[0], at=0.0) == replace(database.changes(0.0)[0], at=0.0)
        assert len(third.changes) == 1
