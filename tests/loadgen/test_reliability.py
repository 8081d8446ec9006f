"""What goes wrong around a run: signals, a full disk, a clock that is set, no descriptors, a silent Prometheus."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import uvloop

from perfloop_base.errors import ExitCode
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.summary.document import from_json
from perfloop_loadgen.summary.verdict import Verdict
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TEST = """
load_tests:
  t: {{base_url: "{url}", duration_seconds: {seconds}, concurrent_users: 2, think_time_seconds: 0.02,
       workers: {workers}, endpoints: [{{path: /}}],
       generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}{more}}}
"""
# From a signal to the end, as a supervisor grants it.
SECONDS_TO_END = 5.0


@pytest.fixture
def service(raw_server: Any) -> Iterator[str]:
    """The address of a service that answers."""
    with raw_server(OK) as server:
        yield server.url


@pytest.fixture
def test_file(service: str, tmp_path: Path) -> Callable[..., Path]:
    """What writes a file of one test."""

    def write(seconds: float = 0.5, workers: int = 1, more: str = "") -> Path:
        path = tmp_path / "test.yml"
        path.write_text(TEST.format(url=service, seconds=seconds, workers=workers, more=more))
        return path

    return write


def command(*arguments: object) -> list[str]:
    """Return the command line of a run."""
    return [sys.executable, "-m", "perfloop_loadgen", "run", *map(str, arguments)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_a_run_and_keeps_its_numbers(
    test_file: Callable[..., Path], tmp_path: Path, number: signal.Signals, workers: int
):
    """The whole group gets it, as a terminal sends it: exit code 10, a report, no process, no target file."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as under nohup, and so by what is started here")
    targets = tmp_path / ".perfloop" / "targets"
    targets.mkdir(parents=True)
    report = tmp_path / "r.json"
    arguments = command(test_file(60, workers), "--report.json", report)
    with subprocess.Popen(arguments, stdout=-1, stderr=-1, start_new_session=True) as process:
        wait_for(lambda: list(targets.iterdir()), "the target file")
        time.sleep(0.5)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < SECONDS_TO_END + 2
    assert process.returncode == ExitCode.STOPPED, err
    assert f"stopped by {number.name}" in out.decode()
    assert from_json(report).summary.end_reason == f"stopped by {number.name}"
    assert psutil.wait_procs(children, timeout=3)[1] == []
    assert list(targets.iterdir()) == []


def test_nohup_keeps_a_run_from_a_hang_up(test_file: Callable[..., Path]):
    """Where SIGHUP was ignored at the start it stays ignored."""
    with subprocess.Popen(["nohup", *command(test_file(1.5))], stdout=-1, stderr=-1) as process:
        wait_for(lambda: psutil.Process(process.pid).net_connections(), "the first connection")
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.OK, err


def test_a_silent_prometheus_is_not_waited_for_after_a_signal(test_file: Callable[..., Path]):
    """The run is over and its gates wait for an answer that does not come: SIGTERM still ends it in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gates = f", prometheus_url: '{url}', thresholds: [{{promql: up, expect: '> 0'}}, {{promql: a, expect: '> 0'}}]"
        with subprocess.Popen(command(test_file(0.3, more=gates)), stdout=-1, stderr=-1) as process:
            silent.settimeout(30)
            asked, _ = silent.accept()
            time.sleep(0.3)
            process.terminate()
            began = time.monotonic()
            out, err = process.communicate(timeout=30)
            asked.close()
    assert time.monotonic() - began < SECONDS_TO_END
    assert process.returncode == ExitCode.STOPPED, err
    assert "stopped before Prometheus answered" in out.decode()


def test_a_full_disk_costs_the_report_alone(test_file: Callable[..., Path], tmp_path: Path):
    """No file may grow beyond 2 kB: the numbers are printed, the report that was there stays, no part is left."""
    report = tmp_path / "reports" / "r.json"
    report.parent.mkdir()
    report.write_text("the one before")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    arguments = command(test_file(), "--report.json", report, "--report.junit", report.with_name("r.xml"))
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60, preexec_fn=limit)
    assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
    assert "verdict: passed" in done.stdout
    assert f"--report.json: {report} cannot be written: File too large" in done.stderr
    assert report.read_text() == "the one before"
    assert sorted(path.name for path in report.parent.iterdir()) == ["r.json", "r.xml"]


@pytest.mark.parametrize("where", ["full", "closed"])
def test_a_result_that_cannot_be_printed_is_written_all_the_same(
    test_file: Callable[..., Path], tmp_path: Path, where: str
):
    """Standard output on a full disk, or a pipe that nobody reads: exit code 11, and the report is there."""
    report = tmp_path / "r.json"
    reading, writing = os.pipe()
    os.close(reading)
    output = writing if where == "closed" else os.open("/dev/full", os.O_WRONLY)
    arguments = command(test_file(), "--report.json", report)
    done = subprocess.run(arguments, stdout=output, stderr=-1, text=True, check=False, timeout=60)
    for descriptor in {writing, output}:
        os.close(descriptor)
    assert done.returncode == ExitCode.NOT_WRITTEN, done.stderr
    assert "the result could not be written to stdout" in done.stderr
    assert "Traceback" not in done.stderr
    assert from_json(report).summary.verdict is Verdict.PASSED


@pytest.mark.parametrize("path", ["a\0b.json", "x" * 300, "{home}/" + "x" * 250 + ".json"], ids=["NUL", "300", "255"])
def test_each_path_of_a_report_ends_in_a_sentence_or_a_file(test_file: Callable[..., Path], tmp_path: Path, path: str):
    """NUL and names longer than any file system takes; the longest that it does take is written."""
    from perfloop_loadgen.reporters.files import write_reports

    config = LoadTestConfig.model_validate({"base_url": "http://127.0.0.1:1", "duration_seconds": 0.1})
    tester = LoadTester(config)
    document = tester.document(tester.summary())
    problems = write_reports(document, {"json": tmp_path / path.format(home=tmp_path)})
    if "home" in path:
        assert problems == []
    else:
        assert str(problems[0]).startswith("--report.json: ")
    assert not [one for one in tmp_path.iterdir() if one.name.endswith(".partial")]


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_changes_no_duration(service: str, monkeypatch: pytest.MonkeyPatch, jump: float):
    """The time of day jumps by an hour in the middle: every duration and the verdict stay."""
    wall, set_at = time.time, time.monotonic() + 0.5
    monkeypatch.setattr(time, "time", lambda: wall() + (jump if time.monotonic() > set_at else 0))
    config = {"base_url": service, "duration_seconds": 1.2, "think_time_seconds": 0.05, "endpoints": [{"path": "/"}]}
    config |= {"generator_limits": {"cpu_ratio": 9, "event_loop_lag_seconds": 9}}
    tester = LoadTester(LoadTestConfig.model_validate(config))
    summary = uvloop.run(tester.run_load_test())
    assert summary.verdict is Verdict.PASSED
    assert 1.1 < summary.duration_seconds < 4
    assert summary.max_response_time_ms < 2000
    assert all(0 <= point.span_seconds < 4 for point in tester.book.timeline())


def test_without_descriptors_each_request_has_its_name(service: str):
    """Every descriptor is taken while the run is under way: counted under their name, and the run is invalid."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = {"base_url": service, "duration_seconds": 0.6, "concurrent_users": 3, "endpoints": [{"path": "/"}]}
    tester = LoadTester(LoadTestConfig.model_validate(config | {"think_time_seconds": 0.05}))

    async def go() -> Any:
        # Below every number in use: there is no new one.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            return await tester.run_load_test()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    summary = uvloop.run(go())
    assert set(summary.outcomes) == {"no_file_descriptors"}
    assert summary.verdict is Verdict.INVALID
    assert "the generator ran out of file descriptors" in summary.reasons[0]


def test_a_silent_name_server_is_not_waited_for_after_a_stop(monkeypatch: pytest.MonkeyPatch):
    """The run has not begun, and never does."""
    config = {"base_url": "http://host.invalid", "timeout_seconds": 60, "endpoints": [{"path": "/"}]}
    tester = LoadTester(LoadTestConfig.model_validate(config))

    async def wait(*_: Any) -> None:
        await asyncio.sleep(60)

    async def go() -> Any:
        asyncio.get_running_loop().call_later(0.2, tester.stop, "stopped by SIGINT", 2.5)
        return await tester.run_load_test()

    monkeypatch.setattr("perfloop_loadgen.engines.addresses.Addresses.resolve", wait)
    began = time.monotonic()
    summary = uvloop.run(go())
    assert time.monotonic() - began < SECONDS_TO_END
    assert (summary.end_reason, summary.verdict) == ("stopped by SIGINT", Verdict.INVALID)
    assert summary.total_requests == 0


def test_a_host_that_does_not_resolve_is_one_sentence(tmp_path: Path):
    """No name server knows it: exit code 2, and nothing was run."""
    path = tmp_path / "test.yml"
    path.write_text(TEST.format(url="http://no-such-host.invalid", seconds=1, workers=1, more=""))
    done = subprocess.run(command(path), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.splitlines()[-1].startswith(
        "perfloop loadgen: base_url: the host 'no-such-host.invalid' does not resolve: "
    )
    assert "Traceback" not in done.stderr
