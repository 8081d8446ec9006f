"""The store of runs: what is kept, how it is named, what is deleted, and what a broken database does."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from perfloop_base.errors import ConfigError, NewerStoreError, StoreError
from perfloop_loadgen.store.location import directory, make_directory, standing_url
from perfloop_loadgen.store.runs import Retention, RunStore, open_for_writing
from perfloop_loadgen.store.tables import Base
from perfloop_loadgen.summary.document import State, to_compact_json
from perfloop_loadgen.summary.verdict import Verdict
from tests.analyzer.postgresql import run_postgresql
from tests.loadgen.stored_runs import HOUR, NEW_YEAR, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = 24 * HOUR


def database() -> Path:
    """The default file."""
    return directory() / "runs.db"


def test_a_run_comes_back_whole(store: RunStore):
    """Every part of its document: full histograms, timeline, labels, revision, configuration and its hash."""
    kept = run(1, labels={"version": "1.4", "where": "café ☕"}, revision="0" * 40)
    store.save(kept)
    assert to_compact_json(store.get(kept.run_id)) == to_compact_json(kept)
    assert kept.histograms["POST /cart"]["response"] == [(89_980_928, 2)]


def test_a_run_is_listed_with_its_figures(store: RunStore):
    """What a list shows is that of the report."""
    kept = run(1, labels={"version": "1.4"}, revision="abc")
    listed = store.save(kept)
    assert store.runs() == [listed]
    assert (listed.test, listed.requests, listed.failed, listed.verdict) == ("shop", 202, 2, "passed")
    assert listed.p95_seconds == kept.summary.total.response.quantiles_seconds["p95"]
    assert (listed.labels, listed.day) == ({"version": "1.4"}, "2026-01-01 01:00:00Z")


def test_the_newest_runs_come_first_and_are_chosen_by_test_label_and_number(store: RunStore):
    """Each choice alone and all together."""
    for number in range(4):
        store.save(run(number, test="shop" if number % 2 else "cart", labels={"version": f"1.{number // 2}"}))
    assert [int(one.run_id, 16) for one in store.runs()] == [3, 2, 1, 0]
    assert [int(one.run_id, 16) for one in store.runs("shop")] == [3, 1]
    assert [int(one.run_id, 16) for one in store.runs(labels={"version": "1.0"})] == [1, 0]
    assert [int(one.run_id, 16) for one in store.runs("shop", {"version": "1.0"}, 5)] == [1]
    assert [int(one.run_id, 16) for one in store.runs(limit=1)] == [3]


def test_a_run_saved_again_is_replaced(store: RunStore):
    """With its labels: the later document is the whole truth."""
    store.save(run(1, labels={"version": "1.4", "gone": "x"}))
    store.save(run(1, p95=0.3, labels={"version": "1.5"}))
    [listed] = store.runs()
    assert listed.labels == {"version": "1.5"}
    assert listed.p95_seconds == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(
    ("reference", "number"),
    [("00000000000a", 10), ("00000000000b", 11), ("latest", 11), ("latest~0", 11), ("latest~1", 10), ("latest~11", 0)],
)
def test_a_run_is_named_by_its_id_or_its_age(store: RunStore, reference: str, number: int):
    """As git names commits."""
    for each in range(12):
        store.save(run(each))
    assert [int(one.run_id, 16) for one in store.find(reference)] == [number]


def test_the_beginning_of_an_id_names_a_run_where_it_is_the_only_one(store: RunStore):
    """A whole id names its run also where it is the beginning of another."""
    for run_id in ("abc1", "abc2", "abc", "ef_1"):
        store.save(run(1, run_id=run_id))
    assert [one.run_id for one in store.find("abc1")] == ["abc1"]
    assert [one.run_id for one in store.find("abc")] == ["abc"]
    with pytest.raises(ConfigError, match="ab is the beginning of several runs: abc2, abc1, abc"):
        store.find("ab")


def test_a_character_that_stands_for_any_in_sql_does_not_in_a_reference(store: RunStore):
    """Neither % nor _ is part of a reference."""
    store.save(run(1, run_id="abc1"))
    for reference in ("%", "a%", "a_c1"):
        with pytest.raises(ConfigError, match="names no run"):
            store.find(reference)


@pytest.mark.parametrize("reference", ["latest", "latest~3", "abc", "baseline:main", "0"])
def test_a_reference_to_nothing_is_one_sentence(store: RunStore, reference: str):
    """With the reference in it, and how to find the runs there are."""
    with pytest.raises(ConfigError, match=rf"'{reference}' names no stored run: `perfloop loadgen runs` lists them"):
        store.find(reference)


@pytest.mark.parametrize("reference", ["", " ", "latest~", "latest~x", "-1", "a b", "a/b", "latest~99999999", "\x1b["])
def test_what_cannot_be_a_reference_is_one_sentence(store: RunStore, reference: str):
    """With the forms that there are."""
    with pytest.raises(ConfigError, match="names no run: write an id or its beginning"):
        store.find(reference)


def test_a_baseline_has_runs_of_each_test_of_its_own(store: RunStore):
    """To set it for one test leaves that of another; the order of the runs is that in which they were given."""
    for number in range(4):
        store.save(run(number, test="shop" if number < 3 else "cart"))
    ids = [one.run_id for one in store.runs()][::-1]
    store.set_baseline("main", [ids[2], ids[0], ids[3]])
    assert [one.run_id for one in store.find("baseline:main", "shop")] == [ids[2], ids[0]]
    store.set_baseline("main", [ids[1]])
    assert [one.run_id for one in store.baseline("main", "shop")] == [ids[1]]
    assert [one.run_id for one in store.baseline("main", "cart")] == [ids[3]]
    assert [(one.name, one.test, one.run_ids) for one in store.baselines()] == [
        ("main", "cart", (ids[3],)),
        ("main", "shop", (ids[1],)),
    ]
    store.remove_baseline("main")
    assert store.baseline("main") == []
    assert len(store.runs()) == 4


def test_a_baseline_is_of_runs_that_prove_something(store: RunStore):
    """Every run that cannot be one is named, at once; what the baseline was it stays."""
    store.save(run(0))
    store.save(run(1, verdict=Verdict.INVALID))
    store.save(run(2, state=State.KILLED, verdict=Verdict.INVALID))
    store.save(run(3, verdict=Verdict.FAILED))
    ids = [one.run_id for one in store.runs()][::-1]
    store.set_baseline("main", [ids[0]])
    with pytest.raises(ConfigError) as caught:
        store.set_baseline("main", [*ids, "absent"])
    assert caught.value.problems == (
        f"the run {ids[1]} was invalid: nothing can be compared with it",
        f"the run {ids[2]} was killed: nothing can be compared with it",
        "no run 'absent' is stored",
    )
    assert [one.run_ids for one in store.baselines()] == [(ids[0],)]
    store.set_baseline("main", [ids[3]])


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 101, "é", "a\n"])
def test_the_name_of_a_baseline_is_plain(store: RunStore, name: str):
    """What a shell, a URL or a label would have to quote is none."""
    with pytest.raises(ConfigError, match="is no name of a baseline"):
        store.set_baseline(name, [])


def test_a_baseline_that_is_not_there_cannot_be_removed(store: RunStore):
    """It is said, and where the others are."""
    with pytest.raises(ConfigError, match="there is no baseline 'main': `perfloop loadgen baseline list` shows them"):
        store.remove_baseline("main")


def test_old_runs_are_deleted_but_never_the_newest_of_a_test_nor_a_baseline():
    """By age and by number."""
    make_directory()
    with contextlib.closing(RunStore(retention=Retention(days=0, runs=0))) as store:
        for number in range(6):
            store.save(run(number, test="rare" if number == 0 else "shop", labels={"n": str(number)}))
        ids = [one.run_id for one in store.runs()][::-1]
        store.set_baseline("main", [ids[1]])
    with contextlib.closing(RunStore(retention=Retention(days=0, runs=2))) as store:
        assert store.prune(NEW_YEAR) == 2
        assert [int(one.run_id, 16) for one in store.runs()] == [5, 4, 1, 0]
        assert store.runs()[2].labels == {"n": "1"}
    with contextlib.closing(RunStore(retention=Retention(days=1, runs=0))) as store:
        assert store.prune(NEW_YEAR + DAY + 4.5 * HOUR) == 1
        assert [int(one.run_id, 16) for one in store.runs()] == [5, 1, 0]


def test_saving_deletes_what_is_no_longer_kept():
    """So that no file grows for ever."""
    make_directory()
    with contextlib.closing(RunStore(retention=Retention(days=0, runs=3))) as store:
        for number in range(6):
            store.save(run(number))
        assert [int(one.run_id, 16) for one in store.runs()] == [5, 4, 3]


def test_the_view_says_what_a_check_before_a_deployment_asks(store: RunStore):
    """One row for each test: its newest run, whether that passed, and how many baselines the test has."""
    store.save(run(0))
    store.save(run(1, verdict=Verdict.FAILED))
    store.save(run(2, test="cart"))
    store.save(run(3, test="lost", state=State.KILLED, verdict=Verdict.INVALID))
    store.set_baseline("main", [f"{2:012x}"])
    store.set_baseline("next", [f"{2:012x}"])
    with contextlib.closing(sqlite3.connect(database())) as connection:
        rows = connection.execute(
            "SELECT test, run_id, passed, baselines FROM load_test_facts ORDER BY test"
        ).fetchall()
    assert rows == [("cart", f"{2:012x}", 1, 2), ("lost", f"{3:012x}", 0, 0), ("shop", f"{1:012x}", 0, 0)]


def test_the_migrations_make_the_tables(store: RunStore):
    """What the code reads and writes is what the database has."""
    engine = create_engine(f"sqlite:///{database()}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "load_test_version"})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_a_newer_database_is_left_alone(store: RunStore):
    """It is neither upgraded nor moved aside."""
    with contextlib.closing(sqlite3.connect(database())) as connection:
        connection.execute("UPDATE load_test_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(NewerStoreError, match="revision 9999, which this version does not know"):
        open_for_writing(standing_url(), Retention())
    assert not list(directory().glob("*.corrupt-*"))


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _garble(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2048)
        file.write(os.urandom(path.stat().st_size - 2048))


def _replace_by_text(path: Path) -> None:
    path.write_text("this is no database\n" * 500)


@pytest.mark.parametrize("damage", [_truncate, _garble, _replace_by_text])
def test_a_damaged_database_is_moved_aside_and_begun_again(
    damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    """The run that finds it is stored, nothing is deleted, and the log says where the earlier runs are."""
    make_directory()
    with contextlib.closing(RunStore(repair=True)) as store:
        for number in range(20):
            store.save(run(number))
    damage(database())
    damaged = database().read_bytes()
    with contextlib.closing(RunStore(repair=True)) as store:
        store.save(run(30))
        assert [int(one.run_id, 16) for one in store.runs()] == [30]
    [aside] = directory().glob("runs.db.corrupt-*")
    assert aside.read_bytes() == damaged
    assert f"moved aside to {aside.name} and begun again: earlier runs and baselines are in that file" in caplog.text


def test_an_empty_file_is_begun_again(caplog: pytest.LogCaptureFixture):
    """A full disk may have left it: there is nothing to move aside, and it is said."""
    (make_directory() / "runs.db").touch()
    with contextlib.closing(RunStore(repair=True)) as store:
        store.save(run(1))
        assert len(store.runs()) == 1
    assert "was found empty and is begun again" in caplog.text
    assert not list(directory().glob("*.corrupt-*"))


def test_a_command_that_reads_moves_nothing_aside(tmp_path: Path):
    """It says what is wrong; another file that a flag names by mistake stays where it is, also at the end of a run."""
    path = tmp_path / "letter.txt"
    path.write_text("dear database\n" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        RunStore(f"sqlite:///{path}")
    with contextlib.closing(RunStore(f"sqlite:///{path}", repair=True)) as store, pytest.raises(StoreError):
        store.save(run(1))
    assert [one.name for one in tmp_path.iterdir() if one.name != ".perfloop"] == ["letter.txt", "letter.txt.lock"]


def test_a_full_disk_leaves_what_is_stored(store: RunStore):
    """The run is not stored, in one sentence; those of before are."""
    store.save(run(1))
    with store._connection.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.commit()
    with pytest.raises(StoreError, match="full"):
        store.save(run(2, labels={f"n{number}": "x" * 190 for number in range(60)}))
    assert [int(one.run_id, 16) for one in store.runs()] == [1]


def test_a_damaged_document_is_one_sentence_and_hides_no_other(store: RunStore):
    """A row that somebody else wrote."""
    store.save(run(1))
    store.save(run(2))
    with contextlib.closing(sqlite3.connect(database())) as connection:
        connection.execute("UPDATE load_test_run SET document = x'00' WHERE run_id = ?", (f"{1:012x}",))
        connection.commit()
    with pytest.raises(StoreError, match="the stored run 000000000001 cannot be read"):
        store.get(f"{1:012x}")
    assert store.get(f"{2:012x}").summary.name == "shop"
    assert len(store.runs()) == 2


WRITER = """
import sys
from perfloop_loadgen.store.runs import Retention, open_for_writing
from perfloop_loadgen.store.location import standing_url
from tests.loadgen.stored_runs import run
store = open_for_writing(standing_url(), Retention())
for number in map(int, sys.argv[1:]):
    store.save(run(number))
store.close()
"""


def _start_writers(url: str = "") -> list[subprocess.Popen[bytes]]:
    environment = os.environ | ({"PERFLOOP_LOADGEN_STORE_URL": url} if url else {})
    checkout = Path(__file__).parents[3]
    return [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, *(str(10 * process + each) for each in range(5))],
            env=environment,
            cwd=checkout,
            stderr=subprocess.PIPE,
        )
        for process in range(10)
    ]


@pytest.mark.slow
def test_ten_processes_at_once_lose_nothing():
    """On a database that none of them has made before."""
    writers = _start_writers()
    failures = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 10, failures
    with contextlib.closing(RunStore()) as store:
        assert len(store.runs()) == 50


@pytest.mark.slow
def test_ten_processes_that_find_a_damaged_database_move_it_aside_once():
    """None of them moves aside what another has begun again."""
    make_directory()
    RunStore().close()
    _replace_by_text(database())
    writers = _start_writers()
    failures = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 10, failures
    assert len(list(directory().glob("runs.db.corrupt-*"))) == 1
    with contextlib.closing(RunStore()) as store:
        assert len(store.runs()) == 50


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a real server."""
    with run_postgresql() as server:
        yield server.url


@pytest.mark.slow
def test_postgresql_keeps_runs_as_sqlite_does(postgresql: str):
    """Ten writers at once on an empty database, then every kind of call; beside another program's tables."""
    engine = create_engine(postgresql)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0003')"))
    writers = _start_writers(postgresql)
    failures = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 10, failures
    with contextlib.closing(RunStore(postgresql)) as store:
        assert len(store.runs()) == 50
        kept = run(200, labels={"version": "1.4"})
        store.save(kept)
        assert to_compact_json(store.get(kept.run_id)) == to_compact_json(kept)
        assert [one.run_id for one in store.find("latest")] == [kept.run_id]
        assert [one.run_id for one in store.find("0000000000c")] == [kept.run_id]
        assert [one.run_id for one in store.runs(labels={"version": "1.4"})] == [kept.run_id]
        store.set_baseline("main", [kept.run_id])
        assert [one.run_id for one in store.baseline("main", "shop")] == [kept.run_id]
    with contextlib.closing(RunStore(postgresql, retention=Retention(days=0, runs=10))) as store:
        assert store.prune(time.time()) == 41
    with engine.connect() as connection:
        [facts] = connection.execute(text("SELECT test, passed, baselines FROM load_test_facts")).all()
        assert tuple(facts) == ("shop", 1, 1)
    engine.dispose()


def test_a_server_that_is_not_there_is_one_sentence_without_its_password(tmp_path: Path):
    """Within the time that a driver may take to find out."""
    began = time.monotonic()
    url = f"postgresql+psycopg://u:s3cr3t-w0rd@/x?host={tmp_path}"  # pragma: allowlist secret
    with contextlib.closing(RunStore(url, repair=True)) as store, pytest.raises(StoreError) as caught:
        store.save(run(1))
    assert "s3cr3t" not in str(caught.value)
    assert time.monotonic() - began < 20


def test_documents_of_the_first_format_load(tmp_path: Path):
    """A report without the newer parts reads as one that has none of them."""
    document = json.loads(to_compact_json(run(1)))
    for newer in ("state", "labels", "config_hash", "revision", "histograms"):
        del document[newer]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    from perfloop_loadgen.summary.document import from_json

    assert from_json(path).labels == {}
    assert from_json(path).state is State.ENDED
