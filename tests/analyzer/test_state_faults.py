"""The database damaged, lost, locked or unreachable while the program runs: it analyses on, says so, and recovers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_analyzer.config import RunConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.errors import NewerStoreError, StoreError
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.store import Database
from perfloop_analyzer.store.keeper import Keeper
from tests.analyzer.postgresql import run_postgresql
from tests.analyzer.test_loop import Scripted
from tests.support.free_ports import find_free_ports
from tests.support.programs import Program
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1_700_000_000.0
SIGNALS = "signals: [{name: depth, component: database, kind: use, expr: depth, limit: {warning: 10, critical: 20}}]\n"


def make(identifier: str = "slow-queries-shop-1") -> Recommendation:
    """A recommendation with the least in it."""
    return Recommendation(
        identifier, "slow_queries", "shop", "database", "database", "high", "t", "do", "low", "none", ("x",), ({},)
    )


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _garble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def _garble_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def _replace_by_text(path: Path) -> None:
    path.write_text("this is no database\n" * 500)


DAMAGES = (_truncate, _empty, _garble, _garble_the_middle, _replace_by_text)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("runs", ["runs", ""])
def test_a_damaged_file_is_moved_aside_and_begun_again(
    damage: Callable[[Path], None], runs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is open and before it is opened: nothing is deleted, and the next call works."""
    monkeypatch.setattr("perfloop_base.database.connection.CHECK_SECONDS", 0.0)
    path = tmp_path / "state.db"
    keeper = Keeper(lambda: NOW)
    database = Database(f"sqlite:///{path}", keeper)
    database.merge([make(f"one-{i}") for i in range(40)], 1.0)
    if not runs:
        database.close()
    damage(path)
    damaged = path.read_bytes()
    if not runs:
        database = Database(f"sqlite:///{path}", keeper)
    for _ in range(2):
        with contextlib.suppress(StoreError):
            database.merge([make("one-1")], 2.0)
            database.recommendations()
    assert [one.id for one in database.recommendations()] == ["one-1"]
    database.close()
    assert (tmp_path / "state.db.corrupt-20231114T221320Z").read_bytes() == damaged
    assert "moved aside to state.db.corrupt-20231114T221320Z and begun again" in keeper.moved
    assert keeper.health.facts() == [("analyzer", NOW, True)]


def test_a_command_moves_nothing_aside(tmp_path: Path) -> None:
    """Only the service owns its database; another file that a flag names by mistake stays where it is."""
    path = tmp_path / "letter.txt"
    path.write_text("dear database\n" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Database(f"sqlite:///{path}")
    assert [one.name for one in tmp_path.iterdir()] == ["letter.txt"]


def test_a_newer_database_is_not_damaged(tmp_path: Path) -> None:
    """It is refused with its sentence, and stays, also when the service opens it."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    Database(url).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(NewerStoreError, match="revision 9999, which this version does not know"):
        Database(url, Keeper())
    assert [one.name for one in tmp_path.iterdir()] == ["new.db"]


def test_a_lost_file_is_begun_again(tmp_path: Path) -> None:
    """Deleted with its directory, or replaced by another file: writing goes where the name is, not into the void."""
    path = tmp_path / "deep" / "state.db"
    path.parent.mkdir()
    database = Database(f"sqlite:///{path}", Keeper())
    database.merge([make()], 1.0)
    shutil.rmtree(path.parent)
    database.merge([make("other")], 2.0)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM recommendation").fetchall() == [("other",)]
    database.close()


def test_a_directory_that_takes_no_file_is_tried_again(tmp_path: Path) -> None:
    """The service starts without its database and uses it when it can."""
    keeper = Keeper()
    database = Database(f"sqlite:///{tmp_path / 'absent' / 'state.db'}", keeper)
    with pytest.raises(StoreError, match="unable to open"):
        database.merge([make()], 1.0)
    assert keeper.health.facts()[0].writable is False
    assert "unable to open" in keeper.problem
    (tmp_path / "absent").mkdir()
    assert len(database.merge([make()], 2.0)) == 1
    assert (keeper.health.facts()[0].writable, keeper.problem) == (True, "")
    database.close()


def test_a_stored_row_that_is_nonsense_hides_no_other(tmp_path: Path) -> None:
    """Another program, or damage, wrote it: it is left out, and the standing one replaces it."""
    path = tmp_path / "state.db"
    database = Database(f"sqlite:///{path}")
    database.merge([make("a"), make("b"), make("c")], 1.0)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE recommendation SET body = '{\"id\": 7' WHERE id = 'a'")
        connection.execute("UPDATE recommendation SET body = '[1, 2]' WHERE id = 'b'")
        connection.commit()
    assert [one.id for one in database.recommendations()] == ["c"]
    assert len(database.merge([make("a"), make("b")], 2.0)) == 2
    assert len(database.recommendations()) == 3
    database.close()


def test_calls_that_hang_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a server hangs, further calls are refused after a moment, so that the program still answers."""
    monkeypatch.setattr("perfloop_base.database.connection.PATIENCE_SECONDS", 0.05)
    database = Database(f"sqlite:///{tmp_path / 'state.db'}", Keeper())
    with contextlib.ExitStack() as held:
        for _ in range(4):
            held.enter_context(database._connection.session())
        with pytest.raises(StoreError, match="4 earlier calls have no answer yet"):
            database.recommendations()
    assert database.recommendations() == ()
    database.close()


@pytest.fixture
def program(prometheus: str, service: Any, tmp_path: Path) -> Iterator[Program]:
    """The analyzer as a user starts it, one cycle a second, with a finding that stands."""
    service.text = "# TYPE depth gauge\ndepth 50\n"
    (tmp_path / "state").mkdir()
    (tmp_path / "signals.yml").write_text(SIGNALS)
    (port,) = find_free_ports(1)
    flags = ["run", f"--web.listen-address=127.0.0.1:{port}", f"--prometheus.url={prometheus}", "--interval=1s"]
    flags += [f"--catalog.file={tmp_path}/signals.yml", f"--store.url=sqlite:///{tmp_path}/state/analyzer.sqlite"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "perfloop_analyzer", *flags], stderr=log)
    running = Program(process, tmp_path / "log", httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
    try:
        wait_for(lambda: _findings(running), "a finding")
        yield running
    finally:
        assert running.stop() == 0


def _findings(program: Program) -> Any:
    try:
        answer = program.client.get("/api/v1/findings")
    except httpx.ConnectError:
        return False
    return answer.status_code == 200 and answer.json()["findings"]


def _state(program: Program) -> dict[str, Any]:
    answer = program.client.get("/api/v1/health").json()
    assert answer["age_seconds"] < 30
    state: dict[str, Any] = answer["state"]
    return state


def _is_kept(path: Path) -> bool:
    """Whether a finding was written to the file that is there now."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
    ):
        return bool(db.execute("SELECT count(*) FROM finding").fetchone()[0])
    return False


def test_the_running_program_survives_every_damage(program: Program, tmp_path: Path) -> None:
    """It says what happened on its page, in its API, metrics and log, never ends, and keeps results again."""
    path = tmp_path / "state" / "analyzer.sqlite"
    for number, damage in enumerate((*DAMAGES, lambda path: path.unlink(), lambda path: shutil.rmtree(path.parent))):
        wait_for(lambda: _is_kept(path), f"results in the database before damage {number}")
        damage(path)
        wait_for(lambda: _is_kept(path) and _state(program)["writable"], f"recovery from damage {number}")
        assert _findings(program)
    wait_for(lambda: _state(program)["problem"] == "", "no problem")
    assert "moved aside to analyzer.sqlite.corrupt-" in _state(program)["set_aside"]
    assert "moved aside to analyzer.sqlite.corrupt-" in program.client.get("/").text
    metrics = program.client.get("/metrics").text
    assert 'perfloop_state_writable{state="analyzer"} 1.0' in metrics
    (moment,) = [line for line in metrics.splitlines() if line.startswith("perfloop_state_set_aside_timestamp")]
    assert time.time() - 300 < float(moment.split()[-1]) <= time.time()
    assert "was found damaged" in program.log
    assert "was deleted or replaced" in program.log
    assert "Traceback" not in program.log


def test_a_lock_held_for_long_is_waited_out(program: Program, tmp_path: Path) -> None:
    """Another program's lock costs the keeping, not the analysis; when it is released all is as before."""
    path = tmp_path / "state" / "analyzer.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        wait_for(lambda: not _state(program)["writable"], "the lock to be noticed")
        assert "database is locked" in _state(program)["problem"]
        assert 'perfloop_state_writable{state="analyzer"} 0.0' in program.client.get("/metrics").text
        assert program.client.get("/api/v1/recommendations").status_code == 503
        assert program.client.get("/").status_code == 200
        blocker.execute("ROLLBACK")
    wait_for(lambda: _state(program)["writable"], "the database to be used again")
    assert "set_aside" in _state(program)
    assert _state(program)["set_aside"] == ""


@pytest.mark.slow
async def test_a_postgresql_that_stops_or_hangs_ends_no_cycle(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashed and restarted, then frozen with its connections: each cycle gives its result, the next ones are kept."""
    monkeypatch.setattr("perfloop_analyzer.loop.STORE_SECONDS", 2.0)
    monkeypatch.setattr("perfloop_base.database.connection.PATIENCE_SECONDS", 0.5)
    source = Scripted(Responses({"db_query_time_p95": build.batch([0.5] * 30)}, {}))
    keeper = Keeper()
    with run_postgresql() as server:
        database = Database(server.url, keeper)
        loop = Loop(RunConfig(), source, database, load_knowledge(RunConfig()))
        outcomes = []
        for number, (fault, repair) in enumerate(
            (
                (server.stop, server.start),
                (lambda: server.signal_all(signal.SIGSTOP), lambda: server.signal_all(signal.SIGCONT)),
            )
        ):
            outcomes.append(await loop.cycle(1000.0 * number))
            fault()
            outcomes.append(await loop.cycle(1000.0 * number + 10))
            repair()
        await asyncio.sleep(3)
        outcomes.append(await loop.cycle(3000.0))
        kept = database.recommendations()
        database.close()
    assert ["store" in one.failures for one in outcomes if one is not None] == [False, True, False, True, False]
    assert kept
    assert keeper.problem == ""


KILLED = """
import sys
from perfloop_analyzer.recommend.recommendation import Recommendation
from perfloop_analyzer.store import Database
from perfloop_analyzer.store.keeper import Keeper
d = Database(sys.argv[1], Keeper())
make = lambda i: Recommendation(i, "r", "shop", "database", "database", "high", "t", "do", "low", "none", ("x",), ({},))
d.merge([make("keep")], 1.0)
if not d.recommendations("accepted"):
    d.transition("keep", "accept", 2.0)
print("ready", flush=True)
n = 0
while True:
    n += 1
    d.merge([make("keep"), make(f"other-{n % 50}")], 3.0 + n)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not os.environ.get("PERFLOOP_LONG_TESTS"), reason="PERFLOOP_LONG_TESTS=1: fifty kills take minutes")
def test_fifty_kills_while_writing_leave_a_whole_database(tmp_path: Path) -> None:
    """Stopped for a moment or not, then killed: what was accepted stays accepted, nothing is moved aside."""
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    for number in range(50):
        with subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.003 * number)
            if number % 2:
                process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGKILL)
        keeper = Keeper()
        with contextlib.closing(Database(url, keeper)) as database:
            assert [one.state for one in database.recommendations() if one.id == "keep"] == ["accepted"]
            with database._engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        assert keeper.moved == ""
