"""Load tests before a deployment: baseline, passed on what goes live, and the goal for throughput."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.check import advice, load_tests
from perfloop.check.findings import UnansweredError, Verdict
from perfloop.check.history import read_history
from perfloop_loadgen.store.runs import open_for_writing
from perfloop_loadgen.summary.document import State
from perfloop_loadgen.summary.verdict import GateResult
from perfloop_loadgen.summary.verdict import Verdict as Outcome
from tests.loadgen.stored_runs import run
from tests.support.readiness import NOW, answering, looked, make_sources

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources

DAY = 86_400.0


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a store and a directory of its own."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PERFLOOP_LOADGEN_STORE_URL")
    monkeypatch.chdir(tmp_path)


def keep(*, days_ago: float = 1.0, number: int = 1, rate: float = 100.0, seconds: float = 120.0, **changes: Any):
    """Store a run that began so many days ago; `baseline` names one."""
    baseline = changes.pop("baseline", "")
    gates = [GateResult("errors < 5 %", True, 0.01)] if changes.pop("gated", True) else []  # noqa: FBT003 - it passed
    began = datetime.fromtimestamp(NOW - days_ago * DAY, UTC).isoformat()
    document = run(number, started_at=began, **changes)
    document = replace(document, summary=replace(document.summary, gates=gates))
    store = open_for_writing(f"sqlite:///{_file()}")
    try:
        store.save(document)
        if baseline:
            store.set_baseline(baseline, [document.run_id])
    finally:
        store.close()
    with closing(sqlite3.connect(_file())) as connection, connection:
        figures = (rate, seconds, document.run_id)
        connection.execute("UPDATE load_test_run SET rate = ?, duration_seconds = ? WHERE run_id = ?", figures)


def _file() -> Path:
    from perfloop_loadgen.store.location import directory, make_directory

    make_directory()
    return directory() / "runs.db"


def baseline(sources: Sources) -> Finding:
    """Return the line about baselines."""
    return looked(load_tests.look_for_baseline, sources)


def passed_test(sources: Sources) -> Finding:
    """Return the line about tests that passed."""
    return looked(load_tests.look_for_passed_test, sources)


def throughput(sources: Sources) -> Finding:
    """Return the line about throughput."""
    return looked(load_tests.look_for_throughput, sources)


def test_without_any_run_every_line_fails(tmp_path: Path):
    """Nothing was tested: that is known, and no store is made by asking."""
    sources = make_sources(tmp_path)
    for look in (baseline, passed_test, throughput):
        assert look(sources).verdict is Verdict.FAILED
    assert baseline(sources).words == "no load test is stored"
    assert not (tmp_path / "home").exists()


def test_a_baseline(tmp_path: Path):
    """A run alone is none; a baseline is named with its age."""
    keep()
    assert baseline(make_sources(tmp_path)).words == "no load test has a baseline"
    keep(number=2, baseline="main")
    found = baseline(make_sources(tmp_path))
    assert found.verdict is Verdict.PASSED
    assert found.words.startswith("main of shop; the newest was set ")


LABEL: dict[str, Any] = {"labels": (("version", "1.4"),)}


@pytest.mark.parametrize(
    ("kept", "verdict", "words"),
    [
        ({"labels": {"version": "1.4"}}, "passed", "shop passed 24 h ago (p95 "),
        ({"labels": {"version": "1.3"}}, "failed", "no stored load test is of version=1.4; the newest is shop passed"),
        ({"labels": {"version": "1.4"}, "verdict": Outcome.FAILED}, "failed", "shop failed 24 h ago"),
        ({"labels": {"version": "1.4"}, "verdict": Outcome.INVALID}, "failed", "shop invalid 24 h ago"),
        ({"labels": {"version": "1.4"}, "days_ago": 31.0}, "failed", "longer ago than 30 d"),
    ],
    ids=["passed", "another version", "failed", "invalid", "old"],
)
def test_the_newest_run_of_what_goes_live(tmp_path: Path, kept: dict[str, Any], verdict: str, words: str):
    """It passed, is of that version, and is young enough; each line says when it was."""
    keep(**kept)
    found = passed_test(make_sources(tmp_path, **LABEL))
    assert found.verdict == verdict
    assert words in found.words
    assert (found.advice is None) == (verdict == "passed")


def test_a_test_without_thresholds_shows_nothing(tmp_path: Path):
    """It could not have failed, whatever was answered: no passed test, and no throughput; one with some counts."""
    keep(number=1, rate=5000.0, gated=False, labels={"version": "1.4"})
    found = passed_test(make_sources(tmp_path, **LABEL))
    assert (found.verdict, found.advice) == (Verdict.FAILED, advice.ADD_THRESHOLDS)
    assert found.words.endswith("without a threshold that it could have broken")
    assert throughput(make_sources(tmp_path)).verdict is Verdict.FAILED
    keep(number=2, rate=1100.0, test="cart", labels={"version": "1.4"})
    found = passed_test(make_sources(tmp_path, **LABEL))
    assert (found.verdict, found.words.partition(" ")[0]) == (Verdict.PASSED, "cart")
    assert throughput(make_sources(tmp_path)).words.startswith("cart held 1100/s")


def test_a_failed_test_is_not_hidden_by_another_that_passed(tmp_path: Path):
    """The newest run of each test counts."""
    keep(number=1, test="cart", verdict=Outcome.FAILED, labels={"version": "1.4"})
    keep(number=2, test="shop", labels={"version": "1.4"})
    keep(number=3, test="shop", days_ago=2, verdict=Outcome.FAILED, labels={"version": "1.4"})
    found = passed_test(make_sources(tmp_path, **LABEL))
    assert found.verdict is Verdict.FAILED
    assert found.words.startswith("cart failed")
    assert passed_test(make_sources(tmp_path, test="shop", **LABEL)).verdict is Verdict.PASSED


def test_a_run_that_was_stopped_proves_nothing_and_undoes_nothing(tmp_path: Path):
    """Alone it is red; an earlier one that passed still counts."""
    keep(number=1, days_ago=1, state=State.STOPPED, labels={"version": "1.4"})
    found = passed_test(make_sources(tmp_path, **LABEL))
    assert (found.verdict, found.words.partition(" ago")[0]) == (Verdict.FAILED, "shop stopped 24 h")
    keep(number=2, days_ago=2, labels={"version": "1.4"})
    assert passed_test(make_sources(tmp_path, **LABEL)).verdict is Verdict.PASSED


def test_without_a_version_nothing_is_known(tmp_path: Path):
    """A directory without a commit does not say what goes live."""
    keep()
    found = passed_test(make_sources(tmp_path))
    assert found.verdict is Verdict.UNKNOWN
    assert found.words.endswith("but which version goes live is not known: this directory has no commit")


def commit(directory: Path) -> str:
    """Make a repository with one commit and return it."""
    (directory / "file").write_text("x")
    user = ("-c", "user.name=x", "-c", "user.email=x@x.test")
    for words in (("init", "-q"), ("add", "file"), (*user, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *words], cwd=directory, check=True)
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=directory, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def test_the_commit_of_the_directory_goes_live(tmp_path: Path):
    """A run of that commit counts, one of another does not, and changed files make it unknown."""
    own = commit(tmp_path)
    keep(number=1, revision="0" * 40)
    assert passed_test(make_sources(tmp_path)).words.startswith(f"no stored load test is of commit {own[:8]}")
    keep(number=2, revision=own)
    assert passed_test(make_sources(tmp_path)).verdict is Verdict.PASSED
    (tmp_path / "file").write_text("y")
    assert passed_test(make_sources(tmp_path)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        ({"rate": 1200.0}, "passed"),
        ({"rate": 999.0}, "failed"),
        ({"rate": 1200.0, "seconds": 30.0}, "failed"),
        ({"rate": 1200.0, "days_ago": 40.0}, "failed"),
        ({"rate": 1200.0, "verdict": Outcome.FAILED}, "failed"),
        ({"rate": 10.0, "profile": "breakpoint", "confirmed_rate": 1500.0}, "passed"),
        ({"rate": 1200.0, "profile": "breakpoint", "confirmed_rate": 700.0}, "failed"),
        ({"rate": 1200.0, "profile": "breakpoint"}, "failed"),
    ],
)
def test_the_goal_for_throughput(tmp_path: Path, kept: dict[str, Any], verdict: str):
    """1,000/s held for a minute by a run that passed; of a search the rate that it confirmed."""
    keep(**kept)
    assert throughput(make_sources(tmp_path)).verdict == verdict


def test_the_runs_of_a_service_are_those_at_its_address(tmp_path: Path):
    """As Prometheus scrapes it; a run with the label `service` names it itself."""
    keep(number=1, base_url="http://127.0.0.1:8000", baseline="main")
    keep(number=2, test="other", base_url="http://127.0.0.1:8001")
    keep(number=3, test="named", base_url="http://far.test", labels={"service": "cart"}, baseline="cart")
    sample = {"metric": {"service": "shop", "instance": "localhost:8000"}, "value": [NOW, "1"]}
    with answering({"/api/v1/query": {"data": {"result": [sample]}}}) as prometheus:
        urls = {"prometheus": prometheus.url}
        assert "main of shop" in baseline(make_sources(tmp_path, urls, service="shop")).words
        assert "cart of named" in baseline(make_sources(tmp_path, urls, service="cart")).words
    with pytest.raises(UnansweredError):  # nobody says where it is
        baseline(make_sources(tmp_path, service="shop"))


@pytest.mark.parametrize(
    ("instance", "base_url", "same"),
    [
        ("127.0.0.1:8000", "http://localhost:8000", True),
        ("demo:8000", "http://127.0.0.1:8000/x", True),
        ("[::1]:8000", "http://localhost:8000", True),
        ("10.0.0.5:8000", "http://127.0.0.1:8000", False),
        ("127.0.0.1:8001", "http://127.0.0.1:8000", False),
        ("shop.test:443", "https://shop.test", True),
        ("shop.test", "http://shop.test", True),
        ("nonsense:port", "http://shop.test", False),
        ("[", "http://[", False),
    ],
)
def test_addresses_of_one_service(instance: str, base_url: str, *, same: bool):
    """This machine has several names; what is no address is no service."""
    assert load_tests.is_at(instance, base_url) is same


def test_a_store_that_cannot_be_read_is_unanswered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A newer version, no database, a server that is silent, nothing stored: one sentence each, and no traceback."""
    keep()
    with closing(sqlite3.connect(_file())) as connection, connection:
        connection.execute("UPDATE load_test_version SET version_num = '9999'")
    for url, words in (
        ("", "at revision 9999, which this version does not know"),
        ("none", "nothing is stored"),
        ("nonsense://", "not a database URL"),
        ("sqlite:////proc/none/runs.db", ""),
    ):
        if words:
            with pytest.raises(UnansweredError, match=words):
                read_history(url, None)
        else:
            assert read_history(url, None).runs == ()
    _file().write_bytes(b"no database" * 100)
    with pytest.raises(UnansweredError, match=r"the stored load tests cannot be read: the database .*failed"):
        read_history("", None)
    with pytest.raises(UnansweredError, match=r"--store\.url-file"):
        read_history("", tmp_path / "none")
