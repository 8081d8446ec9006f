"""Runs are remembered: each one that ends, is stopped or is killed, whatever the disk and the database do."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_base.errors import ExitCode
from perfloop_loadgen.store.location import directory, make_directory
from perfloop_loadgen.store.runs import RunStore
from perfloop_loadgen.store.unsaved import is_any_there
from perfloop_loadgen.summary.document import State, from_json, to_compact_json
from tests.analyzer.postgresql import run_postgresql
from tests.loadgen.stored_runs import run as build_run
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TEST = """
load_tests:
  shop: {{base_url: "{url}", duration_seconds: {seconds}, concurrent_users: 2, think_time_seconds: 0.02,
          workers: {workers}, endpoints: [{{path: /}}], thresholds: ["p95 < {limit}"],
          generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}}}
"""
SECONDS_TO_END = 5.0


@pytest.fixture(autouse=True)
def _own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the metrics of these runs off the nine ports that other runs on this machine look for."""
    [port] = find_free_ports(1)
    monkeypatch.setenv("PERFLOOP_LOADGEN_PORT", str(min(port, 65_000)))


@pytest.fixture
def service(raw_server: Any) -> Iterator[Any]:
    """A service that answers."""
    with raw_server(OK) as server:
        yield server


@pytest.fixture
def test_file(service: Any, tmp_path: Path) -> Callable[..., Path]:
    """What writes a file of one test."""

    def write(seconds: float = 0.5, workers: int = 1, limit: str = "9 s") -> Path:
        path = tmp_path / "test.yml"
        path.write_text(TEST.format(url=service.url, seconds=seconds, workers=workers, limit=limit))
        return path

    return write


def command(*arguments: object) -> list[str]:
    """Return the command line of the load generator."""
    return [sys.executable, "-m", "perfloop_loadgen", *map(str, arguments)]


def call(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of the load generator."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=90, **options)


def stored() -> list[Any]:
    """Return the stored runs as `runs --json` prints them."""
    done = call("runs", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    return json.loads(done.stdout)


def test_a_run_that_ends_is_stored_as_its_report_has_it(test_file: Callable[..., Path], tmp_path: Path):
    """With its labels and a baseline, and the file of the run under way is gone."""
    report = tmp_path / "r.json"
    done = call(
        *("run", test_file(1.2), "--report.json", report, "--label", "version=1.4", "--label", "by=ci"),
        *("--save-baseline", "main"),
    )
    assert done.returncode == ExitCode.OK, done.stderr
    with contextlib.closing(RunStore()) as store:
        [run] = store.runs(labels={"version": "1.4", "by": "ci"})
        assert to_compact_json(store.get(run.run_id)) == to_compact_json(from_json(report))
        assert [one.run_id for one in store.baseline("main", "shop")] == [run.run_id]
        document = store.get(run.run_id)
    assert document.config_hash
    page = tmp_path / "r.html"
    assert call("show", run.run_id, "--report.html", page).returncode == ExitCode.OK
    assert "version=1.4, by=ci" in page.read_text()
    assert sum(count for _, count in document.histograms["GET /"]["response"]) == document.summary.total_requests
    assert not is_any_there()


def test_runs_that_are_repeated_are_stored_one_by_one(test_file: Callable[..., Path]):
    """And are the baseline together."""
    done = call("run", test_file(0.4), "--repeat", "3", "--save-baseline", "main")
    assert done.returncode in {ExitCode.OK, ExitCode.INVALID}, done.stderr
    with contextlib.closing(RunStore()) as store:
        assert len(store.runs("shop")) == 3
        assert len(store.baseline("main", "shop")) == 3
    assert not is_any_there()


def test_a_search_for_the_breakpoint_is_stored(service: Any):
    """As one run, with every rate that it tried."""
    steps = ("--start-rate", "20", "--step-seconds", "0.5")
    with subprocess.Popen(
        command("breakpoint", "--url", service.url, *steps, "--label", "kind=search"), stderr=-1, stdout=-1
    ) as search:
        wait_for(is_any_there, "the file of the search")
        search.send_signal(signal.SIGINT)
        _, err = search.communicate(timeout=60)
    # On a busy machine the generator is soon the limit, and the search has ended before it can be stopped.
    assert search.returncode in {ExitCode.STOPPED, ExitCode.INVALID, ExitCode.FAILED}, err
    [run] = stored()
    assert (run["profile"], run["labels"]) == ("breakpoint", {"kind": "search"})
    assert run["state"] in {"stopped", "ended"}


def test_the_runs_of_both_sides_are_stored(service: Any, test_file: Callable[..., Path]):
    """With their side as a label."""
    done = call("ab", service.url, service.url, test_file(0.4), "--rounds", "1")
    assert done.returncode not in {ExitCode.USAGE, ExitCode.NOT_WRITTEN}, done.stderr
    assert sorted(run["labels"]["side"] for run in stored()) == ["A", "B"]
    assert not is_any_there()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_killed_keeps_what_was_measured(test_file: Callable[..., Path], service: Any, workers: int):
    """By SIGKILL: the next command finds it, says that it was killed, and has its figures but for the last seconds."""
    with subprocess.Popen(
        command("run", test_file(60, workers), "--label", "version=1.4"), stderr=-1, stdout=-1
    ) as run:
        wait_for(is_any_there, "the file of the run")
        time.sleep(3.5)
        run.kill()
        run.communicate()
    [found] = stored()
    assert (found["state"], found["verdict"], found["labels"]) == ("killed", "invalid", {"version": "1.4"})
    assert found["duration_seconds"] >= 2
    shown = json.loads(call("show", "latest", "--json").stdout)
    assert shown["summary"]["total"]["outcomes"].keys() <= {"ok"}
    buckets = shown["histograms"]["GET /"]["response"]
    assert sum(count for _, count in buckets) == found["requests"] > 50
    assert len(shown["timeline"]) >= 2
    assert not is_any_there()


@pytest.mark.parametrize("after_seconds", [0.0, 0.3, 1.0, 1.6, 2.0, 2.4])
def test_a_kill_at_any_moment_leaves_no_broken_file_and_loses_no_earlier_run(
    test_file: Callable[..., Path], after_seconds: float
):
    """While the run starts, lasts, ends and is stored."""
    assert call("run", test_file(0.3)).returncode == ExitCode.OK
    with subprocess.Popen(command("run", test_file(1.0)), stderr=-1, stdout=-1) as run:
        time.sleep(after_seconds)
        run.kill()
        run.communicate()
    found = stored()
    assert len(found) in {1, 2}
    assert found[-1]["state"] == "ended"
    with contextlib.closing(sqlite3.connect(directory() / "runs.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list(directory().rglob("*.corrupt-*"))


def test_a_run_that_is_stopped_is_stored_in_time(test_file: Callable[..., Path]):
    """Within the time that a supervisor grants: at once, or by the next command."""
    with subprocess.Popen(command("run", test_file(60)), stderr=-1, stdout=-1) as run:
        wait_for(is_any_there, "the file of the run")
        run.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, err = run.communicate(timeout=30)
    assert time.monotonic() - began < SECONDS_TO_END + 2
    assert run.returncode == ExitCode.STOPPED, err
    [found] = stored()
    assert found["state"] == "stopped"


@pytest.mark.slow
def test_ten_runs_at_once_are_all_stored(test_file: Callable[..., Path]):
    """On a machine that has stored none before."""
    path = test_file(0.5)
    runs = [subprocess.Popen(command("run", path), stderr=-1, stdout=-1) for _ in range(9)]
    runs.append(subprocess.Popen(command("run", path, "--save-baseline", "main"), stderr=-1, stdout=-1))
    errors = [run.communicate(timeout=120)[1] for run in runs]
    # Nine ports for metrics: one of ten runs may find none.
    codes = [run.returncode for run in runs]
    assert set(codes) <= {ExitCode.OK, ExitCode.INVALID, ExitCode.PORT_TAKEN}, errors
    assert len(stored()) == sum(code != ExitCode.PORT_TAKEN for code in codes)


def test_a_full_disk_costs_the_memory_and_not_the_run(test_file: Callable[..., Path], tmp_path: Path):
    """No file may grow beyond 2 kB: the result is printed, exit code 11, and it is said that nothing is kept."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = call("run", test_file(), preexec_fn=limit)
    assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
    assert "verdict: passed" in done.stdout
    assert "the run could not be stored: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "it is lost" in done.stderr
    assert stored() == []


def test_a_run_whose_database_is_full_waits_in_its_file(test_file: Callable[..., Path]):
    """Until the next command, which stores it."""
    make_directory()
    with contextlib.closing(RunStore()) as store:
        for number in range(40):
            store.save(build_run(number))
    allowed = (directory() / "runs.db").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, allowed))

    done = call("run", test_file(), preexec_fn=limit)
    assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
    assert f"it is kept in {directory() / 'unsaved'} until the next command stores it" in done.stderr
    assert len(stored()) == 20
    with contextlib.closing(RunStore()) as store:
        assert len(store.runs()) == 41
    assert not is_any_there()


def test_a_damaged_database_does_not_fail_the_run(test_file: Callable[..., Path]):
    """It is moved aside, which is said, and the run is stored in a new one."""
    database = make_directory() / "runs.db"
    database.write_text("this is no database\n" * 500)
    done = call("run", test_file())
    assert done.returncode == ExitCode.OK, done.stderr
    assert "was found damaged (file is not a database), moved aside to runs.db.corrupt-" in done.stderr
    assert len(stored()) == 1


def test_a_locked_database_does_not_fail_the_run(test_file: Callable[..., Path]):
    """It is waited for a while, then the run waits in its file."""
    make_directory()
    RunStore().close()
    with contextlib.closing(sqlite3.connect(directory() / "runs.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        done = call("run", test_file())
    assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
    assert "database is locked" in done.stderr
    assert len(stored()) == 1


@pytest.mark.slow
def test_a_server_that_is_frozen_does_not_hold_the_run(test_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch):
    """PostgreSQL under SIGSTOP: the run waits in its file, and is stored once the server goes on."""
    with run_postgresql() as server:
        monkeypatch.setenv("PERFLOOP_LOADGEN_STORE_URL", server.url)
        assert call("run", test_file()).returncode == ExitCode.OK
        server.signal_all(signal.SIGSTOP)
        try:
            done = call("run", test_file())
        finally:
            server.signal_all(signal.SIGCONT)
        assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
        assert "verdict: passed" in done.stdout
        assert "it is kept in" in done.stderr
        assert [run["state"] for run in stored()] == ["ended", "ended"]


def test_a_home_that_cannot_be_made_does_not_fail_the_run(test_file: Callable[..., Path], tmp_path: Path):
    """A file stands where the directory should be."""
    (tmp_path / "file").write_text("")
    done = call("run", test_file(), env={**os.environ, "PERFLOOP_HOME": str(tmp_path / "file")})
    assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
    assert "verdict: passed" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_run_without_descriptors_is_not_ended_by_its_memory(test_file: Callable[..., Path]):
    """What it measured is reported, whether or not it could be kept meanwhile."""
    path = test_file(2.5)
    path.write_text(path.read_text().replace("concurrent_users: 2", "concurrent_users: 80"))
    done = subprocess.run(
        ["prlimit", "--nofile=40:40", *command("run", path)], capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode == ExitCode.INVALID, done.stderr
    assert "the generator ran out of file descriptors" in done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_is_stored_where_that_is_asked(test_file: Callable[..., Path]):
    """By the flag or by the environment; no directory is made."""
    assert call("run", test_file(), "--store.url", "none").returncode == ExitCode.OK
    environment = {**os.environ, "PERFLOOP_LOADGEN_STORE_URL": "none"}
    assert call("run", test_file(), env=environment).returncode == ExitCode.OK
    assert not directory().exists()


def test_a_wrong_url_is_said_before_anything_runs(test_file: Callable[..., Path], service: Any):
    """With the flag, and without the password in it."""
    done = call("run", test_file(), "--store.url", "mysql+nothing://u:s3cr3t-w0rd@db/x")  # pragma: allowlist secret
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.count("\n") == 1
    assert "--store.url has value" in done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout
    assert service.connections == 0


def test_an_invalid_run_is_no_baseline(test_file: Callable[..., Path]):
    """The exit code is that of the run, and the baseline of before stays."""
    assert call("run", test_file(), "--save-baseline", "main").returncode == ExitCode.OK
    path = test_file()
    path.write_text(path.read_text().replace("cpu_ratio: 9", "cpu_ratio: 0.0001"))
    done = call("run", path, "--save-baseline", "main")
    assert done.returncode == ExitCode.INVALID, done.stderr
    assert "was invalid: it is not made the baseline main" in done.stderr
    [first] = [run["run_id"] for run in stored()][1:]
    assert [baseline["run_ids"] for baseline in json.loads(call("baseline", "list", "--json").stdout)] == [[first]]


def test_a_baseline_of_a_run_that_did_not_pass_is_set_and_said(test_file: Callable[..., Path]):
    """Somebody asked for it."""
    done = call("run", test_file(limit="1 us"), "--save-baseline", "main")
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "which did not pass" in done.stderr
    assert len(json.loads(call("baseline", "list", "--json").stdout)) == 1


def test_the_stacks_own_load_generator_publishes_what_is_stored(test_file: Callable[..., Path]):
    """The one that has its address from a flag: the facts of each test, and the newest runs."""
    assert call("run", test_file(), "--save-baseline", "main", "--label", "version=1.4").returncode == ExitCode.OK
    [port] = find_free_ports(1)
    with subprocess.Popen(
        command("run", test_file(60), "--web.listen-address", f"127.0.0.1:{port}"), stderr=-1, stdout=-1
    ) as steady:
        page = wait_for(lambda: _page(port), "the metrics page")
        steady.send_signal(signal.SIGTERM)
        steady.communicate(timeout=30)
    assert 'loadgen_test_passed{test="shop"} 1.0' in page
    assert 'loadgen_baseline_runs{baseline="main",test="shop"} 1.0' in page
    assert 'version="1.4"' in page


def _page(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.HTTPError:
        return ""


def test_the_state_of_a_document_is_kept():
    """Each of them has a word."""
    assert [state.value for state in State] == ["ended", "stopped", "killed"]
