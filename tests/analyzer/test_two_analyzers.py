"""Two analyzers on one database, as processes: one publishes, the other takes over, and nothing is there twice."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from perfloop_analyzer.store import Database
from tests.analyzer.postgresql import run_postgresql
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = pytest.mark.skipif(
    not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes a minute: set PERFLOOP_LONG_TESTS=1 to run it"
)
INTERVAL = 6.0  # seconds: of the shape of the shipped one, and lease and looks in proportion
# Within two intervals is asserted where nothing else keeps the machine busy, and by the clocks of test_lease.py.
IN_TIME = 2 * INTERVAL if os.getloadavg()[0] < (os.cpu_count() or 1) else 90.0
SIGNALS = """
signals:
- {name: db_pool_used_ratio, title: Pool used, component: database, kind: use, unit: ratio, expr: depth,
   limit: {warning: 0.8, critical: 0.95}}
"""


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.read().decode())
    except OSError:
        return ""


def _until(check: Callable[[], Any], seconds: float) -> float:
    """Return after how many seconds it was so."""
    began = time.monotonic()
    while not check():
        if time.monotonic() > began + seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass
class Analyzer:
    """One process."""

    url: str
    process: subprocess.Popen[bytes]

    def leads(self) -> bool:
        """Whether it publishes a score now."""
        return "perfloop_health_score{" in _read(f"{self.url}/metrics")

    def post(self) -> dict[str, Any]:
        """What it says of the lease."""
        return dict(json.loads(_read(f"{self.url}/api/v1/leader") or "{}"))


@dataclass
class Watch:
    """Looks at both all the time, and counts how many publish at once."""

    analyzers: list[Analyzer]
    stop: threading.Event = field(default_factory=threading.Event)
    most: int = 0
    looks: int = 0
    doubled: list[tuple[str, ...]] = field(default_factory=list)

    def run(self) -> None:
        """Look until it is stopped."""
        while not self.stop.wait(0.2):
            # Twice in the same order: a lease that is given on between two scrapes is none that two have.
            seen = [{one.url for one in self.analyzers if one.leads()} for _ in range(2)]
            self.looks += 1
            found = seen[0] & seen[1]
            self.most = max(self.most, len(found))
            if len(found) > 1:
                self.doubled.append(tuple(found))


class Gate:
    """A way to PostgreSQL's socket that a test can cut."""

    def __init__(self, server: Path, own: Path) -> None:
        self._target = str(server / ".s.PGSQL.5432")
        own.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(own / ".s.PGSQL.5432"))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                one.close()
                continue
            other = socket.socket(socket.AF_UNIX)
            other.connect(self._target)
            self._open += [one, other]
            threading.Thread(target=_carry, args=(one, other), daemon=True).start()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._is_cut = True
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Accept connections again."""
        self._is_cut = False

    def close(self) -> None:
        """End everything."""
        self.cut()
        self._listener.close()


def _carry(one: socket.socket, other: socket.socket) -> None:
    ways = {one: other, other: one}
    with one, other, contextlib.suppress(OSError):
        while True:
            for ready in select.select(list(ways), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                ways[ready].sendall(data)


@dataclass
class Pair:
    """Both processes, their database, and how the first one reaches it."""

    analyzers: list[Analyzer]
    database: str
    start: Callable[[], Analyzer]
    gate: Gate | None

    def leader(self) -> Analyzer:
        """The one that publishes."""
        (found,) = [one for one in self.analyzers if one.post().get("leader")]
        return found

    def other(self) -> Analyzer:
        """The one that waits."""
        (found,) = [one for one in self.analyzers if one is not self.leader()]
        return found


class Stage:
    """Starts analyzers over one Prometheus and one database, and ends them."""

    def __init__(self, prometheus: str, home: Path) -> None:
        self._flags = [f"--prometheus.url={prometheus}", f"--catalog.file={home / 'signals.yml'}"]
        self._flags.append(f"--interval={INTERVAL:g}s")
        self._home = home
        self._began: list[Analyzer] = []
        (home / "signals.yml").write_text(SIGNALS)

    def start(self, database: str) -> Analyzer:
        """Start one."""
        port = find_free_ports(1)[0]
        command = [sys.executable, "-m", "perfloop_analyzer", "run", f"--web.listen-address=127.0.0.1:{port}"]
        with (self._home / f"log{len(self._began)}").open("wb") as log:
            process = subprocess.Popen([*command, *self._flags, f"--store.url={database}"], stderr=log)
        self._began.append(Analyzer(f"http://127.0.0.1:{port}", process))
        return self._began[-1]

    def end(self) -> None:
        """End all of them, those that are frozen too."""
        for one in self._began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.process.pid, signal.SIGCONT)
            one.process.terminate()
        for one in self._began:
            one.process.wait(20)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=LONG)])
def pair(request: pytest.FixtureRequest, prometheus: str, service: Any, tmp_path: Path) -> Iterator[Pair]:
    """Two analyzers over one Prometheus and one database, both kinds; the first one publishes."""
    service.text = "depth 0.99\n"
    with contextlib.ExitStack() as stack:
        gate, database = None, f"sqlite:///{tmp_path}/a.sqlite"
        through = database
        if request.param == "postgresql":
            server = stack.enter_context(run_postgresql())
            gate = Gate(server.home, tmp_path / "gate")
            stack.callback(gate.close)
            database = server.url
            through = f"postgresql+psycopg://pf@/postgres?host={tmp_path / 'gate'}"
        stage = Stage(prometheus, tmp_path)
        stack.callback(stage.end)
        first = stage.start(through)
        _until(first.leads, 150.0)
        second = stage.start(database)
        _until(lambda: second.post().get("holder") == first.url, 150.0)
        _until(lambda: first.post()["standbys"] == 1, 60.0)
        yield Pair([first, second], database, lambda: stage.start(through), gate)


@contextlib.contextmanager
def _watched(pair: Pair) -> Iterator[None]:
    """Look at both all the time, and expect that never two publish."""
    watch = Watch(pair.analyzers)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield
    finally:
        watch.stop.set()
        thread.join()
    assert watch.looks
    assert watch.doubled == []


EVENTS = "FROM recommendation_event WHERE step"
COUNTS = {
    "times opened": f"SELECT max(n) FROM (SELECT count(*) n {EVENTS} = 'open' GROUP BY recommendation) x",
    "rows of a finding": "SELECT max(n) FROM (SELECT count(*) n FROM finding GROUP BY key) x",
    "reopened or healed": f"SELECT count(*) {EVENTS} IN ('reopen', 'heal')",
}


def _counts(pair: Pair) -> dict[str, int]:
    """How often the same thing is in the database."""
    database = Database(pair.database)
    with database._engine.connect() as connection:
        found = {name: connection.execute(text(query)).scalar() or 0 for name, query in COUNTS.items()}
    database.close()
    return found


ONCE = {"times opened": 1, "rows of a finding": 1, "reopened or healed": 0}


def test_the_one_that_waits_says_so_and_publishes_nothing(pair: Pair) -> None:
    """Its metrics are its own cost and that it does not lead; its API and page name the one that publishes."""
    leader, other = pair.leader(), pair.other()
    metrics = _read(f"{other.url}/metrics")
    leads = next(line for line in metrics.splitlines() if line.startswith("perfloop_analyzer_leader{"))
    assert leads.endswith(" 0.0")
    families = {line.partition("{")[0].split()[0] for line in metrics.splitlines() if line.startswith("perfloop_")}
    assert {name for name in families if not name.startswith(("perfloop_analyzer_", "perfloop_state_"))} == set()
    assert leader.url in _read(f"{other.url}/api/v1/health")
    page = _read(other.url)
    assert "This analyzer stands by" in page
    assert f'href="{leader.url}"' in page
    assert "stands by" in _read(f"{other.url}/-/ready")
    post = leader.post()
    assert (post["leader"], post["standbys"], post["term"] > 0) == (True, 1, True)


def test_a_kill_fails_over_within_two_intervals(pair: Pair) -> None:
    """Kill -9: the other one publishes in time, in the next term, with the same incidents since the same moments."""
    leader, other = pair.leader(), pair.other()
    term, before = leader.post()["term"], _starts(leader)
    with _watched(pair):
        leader.process.kill()
        assert _until(other.leads, 90.0) <= IN_TIME
        assert other.post()["term"] == term + 1
        assert _starts(other) == before
        again = pair.start()
        pair.analyzers[:] = [other, again]
        _until(lambda: again.post().get("holder") == other.url, 150.0)
    assert _counts(pair) == ONCE


def _starts(one: Analyzer) -> set[str]:
    """What an analyzer publishes of its incidents and recommendations: which, and since when."""
    names = ("perfloop_incident_start_timestamp_seconds{", "perfloop_recommendation_start_timestamp_seconds{")
    found: set[str] = set()
    _until(
        lambda: (
            found.update(line for line in _read(f"{one.url}/metrics").splitlines() if line.startswith(names)) or found
        ),
        30,
    )
    return found


def _freeze(one: Analyzer, pair: Pair) -> None:
    """Stop a process at a moment at which it holds no lock on a SQLite file: nobody could write then."""
    for _ in range(50):
        os.kill(one.process.pid, signal.SIGSTOP)
        if not pair.database.startswith("sqlite"):
            return
        held = _holds_locks(one.process.pid)
        if not held:
            return
        os.kill(one.process.pid, signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it is always writing")


def _holds_locks(pid: int) -> bool:
    """Whether a process holds a lock on a file."""
    return any(f" {pid} " in line for line in Path("/proc/locks").read_text(encoding="ascii").splitlines())


@LONG
def test_a_freeze_fails_over_and_what_goes_on_is_silent(pair: Pair) -> None:
    """SIGSTOP, then SIGCONT: the other one took over; the first one never publishes or writes in its old term."""
    leader, other = pair.leader(), pair.other()
    _freeze(leader, pair)
    assert _until(other.leads, 90.0) <= IN_TIME
    with _watched(pair):
        os.kill(leader.process.pid, signal.SIGCONT)
        _until(lambda: leader.post().get("holder") == other.url, 30.0)
        time.sleep(1.5 * INTERVAL)
        assert not leader.leads()
        assert other.leads()
    assert _counts(pair) == ONCE


@LONG
def test_one_that_is_cut_off_from_the_database_gives_way(pair: Pair) -> None:
    """The way to the database ends for the one that publishes: it stops, and then the other one begins."""
    if pair.gate is None:
        pytest.skip("a file is not reached over a network")
    leader, other = pair.analyzers
    assert leader.post()["leader"]
    with _watched(pair):
        pair.gate.cut()
        assert _until(other.leads, 90.0) <= IN_TIME
        assert not leader.leads()
        pair.gate.heal()
        _until(lambda: leader.post().get("holder") == other.url, 150.0)
        assert other.leads()
    assert _counts(pair) == ONCE
