"""The program as a process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

TEST = """
load_tests:
  quick: {{base_url: "{url}", duration_seconds: {duration}, concurrent_users: 2, think_time_seconds: 0.01,
          endpoints: [{{path: /}}]}}
"""


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "perfloop_loadgen", *map(str, arguments)]


Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """What starts the program; whatever still runs when the test ends is killed."""
    started: list[asyncio.subprocess.Process] = []

    async def start(*command: object, cwd: Path) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(*map(str, command), stdout=-1, stderr=-1, cwd=cwd)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _get(address: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://{address}", timeout=5) as answer:
        return answer.status, answer.read().decode()


async def _get_soon(address: str, holds: str = "") -> tuple[int, str]:
    """Return a page once somebody answers and it holds what is waited for: on a busy machine that takes its time."""
    for _ in range(1200):
        try:
            status, page = await asyncio.to_thread(_get, address)
        except OSError:
            page = ""
        if page and holds in page:
            return status, page
        await asyncio.sleep(0.05)
    raise AssertionError(address)


def _check_metrics(promtool: str, text: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)


async def test_a_run_prints_percentiles_and_ends_with_zero(start: Start, hello: Any, tmp_path: Path, free_port: int):
    """A good run: exit 0, percentiles with their count on stdout."""
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url=hello.url, duration=0.5))
    process = await start(*_command("run", path, "--web.listen-address", f"127.0.0.1:{free_port}"), cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == ExitCode.OK, err
    assert f"{len(hello.requests)} requests" in out.decode()
    assert f"(n={len(hello.requests)})" in out.decode()


async def test_live_metrics_agree_with_the_server(
    start: Start, hello: Any, tmp_path: Path, free_port: int, promtool: str
):
    """Until it is stopped the run serves valid metrics; the last scrape counts every request the server saw."""
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url="http://127.0.0.1:1", duration=0))
    address = f"127.0.0.1:{free_port}"
    process = await start(*_command("run", path, "--url", hello.url, "--web.listen-address", address), cwd=tmp_path)
    assert (await _get_soon(f"{address}/-/healthy"))[0] == 200
    assert (await _get_soon(f"{address}/-/ready"))[0] == 200
    _, text = await _get_soon(f"{address}/metrics", holds="loadgen_phase{")
    assert 'loadgen_response_seconds_bucket{endpoint="GET /",le="0.5",test="quick"}' in text
    assert 'loadgen_phase{phase="steady",test="quick"} 1.0' in text
    assert "loadgen_verdict{" not in text
    assert "process_resident_memory_bytes" in text
    checked = await asyncio.to_thread(_check_metrics, promtool, text)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, last = await _get_soon(f"{address}/metrics", holds="\nloadgen_verdict{")
    out, _ = await process.communicate()
    assert process.returncode == ExitCode.OK
    assert time.monotonic() - began < 5
    count = f'loadgen_requests_total{{endpoint="GET /",outcome="ok",test="quick"}} {len(hello.requests)}.0'
    assert count in last
    assert 'verdict="passed"} 1.0' in last
    assert "loadgen_phase{" not in last
    assert f"{len(hello.requests)} requests" in out.decode()


async def test_a_run_stopped_half_way_still_tells_what_it_measured(
    start: Start, hello: Any, tmp_path: Path, free_port: int
):
    """SIGINT half way: the results until then, and an exit code that says so."""
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url=hello.url, duration=60))
    address = f"127.0.0.1:{free_port}"
    process = await start(*_command("run", path, "--web.listen-address", address), cwd=tmp_path)
    await _get_soon(f"{address}/-/ready")
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    assert process.returncode == ExitCode.STOPPED
    assert "stopped by SIGINT" in out.decode()
    assert f"{len(hello.requests)} requests" in out.decode()


async def test_an_adhoc_run_is_told_to_prometheus(start: Start, hello: Any, tmp_path: Path):
    """Where the stack keeps file_sd files, an ad-hoc run has one while it runs."""
    (tmp_path / ".perfloop" / "targets").mkdir(parents=True)
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url=hello.url, duration=60))
    process = await start(*_command("run", path), cwd=tmp_path)
    found: list[Path] = []
    while not found and process.returncode is None:
        await asyncio.sleep(0.05)
        found = list((tmp_path / ".perfloop" / "targets").glob("*.json"))
    assert '"targets": ["127.0.0.1:1912' in found[0].read_text()
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert not list((tmp_path / ".perfloop" / "targets").iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run"], ExitCode.USAGE, "give either a FILE or a --profile"),
        (["run", "none.yml"], ExitCode.USAGE, "none.yml: cannot be read: No such file or directory"),
        (
            ["run", "--profile", "basic", "--url", "x"],
            ExitCode.USAGE,
            "--url: 'x': must start with http:// or https://",
        ),
        (["run", "a", "--web.listen-address", "x"], ExitCode.USAGE, "'x': must be HOST:PORT, as in 127.0.0.1:19120"),
        (["run", "--profile", "basic", "--url", "http://no-such-host.invalid"], ExitCode.USAGE, "does not resolve"),
    ],
)
def test_a_bad_command_earns_one_sentence(tmp_path: Path, arguments: list[str], code: ExitCode, sentence: str):
    """Each mistake on the command line: its exit code and its sentence, no traceback."""
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_taken_port_is_named(start: Start, hello: Any, tmp_path: Path):
    """A metrics address that is taken: one sentence, its own exit code, and no request sent."""
    address = hello.url.removeprefix("http://")
    arguments = ("run", "--profile", "basic", "--url", hello.url, "--web.listen-address", address)
    process = await start(*_command(*arguments), cwd=tmp_path)
    _, err = await process.communicate()
    assert process.returncode == ExitCode.NOT_LISTENING
    assert f"--web.listen-address: cannot listen on {address}: " in err.decode()
    assert not hello.requests


async def test_a_full_disk_at_report_time_still_tells_the_results(start: Start, hello: Any, tmp_path: Path):
    """No file may grow beyond 100 bytes: the numbers are on stdout, the trouble in one sentence, no torn file."""
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url=hello.url, duration=0.3))
    command = ["prlimit", "--fsize=100", *_command("run", path, "--report.html", "r.html")]
    process = await start(*command, cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == ExitCode.NOT_WRITTEN, err
    assert f"{len(hello.requests)} requests" in out.decode()
    assert "--report.html: r.html cannot be written: File too large" in err.decode()
    assert await asyncio.to_thread(lambda: [found.name for found in tmp_path.iterdir()]) == ["t.yml"]


async def test_every_test_of_a_file_is_read_before_the_first_runs(start: Start, hello: Any, tmp_path: Path):
    """A gate of the second test that cannot be read: said at once, and nothing was asked."""
    path = tmp_path / "t.yml"
    second = f'  second: {{base_url: "{hello.url}", endpoints: [{{path: /}}], thresholds: [p95 < 1 parsec]}}'
    path.write_text(TEST.format(url=hello.url, duration=0.5) + second)
    process = await start(*_command("run", path), cwd=tmp_path)
    _, err = await process.communicate()
    assert process.returncode == ExitCode.USAGE
    assert "second: thresholds: 'p95 < 1 parsec': the unit 'parsec' is none of" in err.decode()
    assert not hello.requests


GATED = """
load_tests:
  quick: {{base_url: "{url}", duration_seconds: 0.3, concurrent_users: 2, think_time_seconds: 0.01,
          endpoints: [{{path: /}}], thresholds: ['{gate}'],
          generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}}}
"""


@pytest.mark.parametrize(("gate", "code"), [("p95 < 9 s", 0), ("p95 < 1 us", 1), ("ttft_p95 < 1 s", 3)])
async def test_the_verdict_is_the_exit_code(start: Start, hello: Any, tmp_path: Path, gate: str, code: int):
    """Passed 0, failed 1, invalid 3."""
    path = tmp_path / "t.yml"
    path.write_text(GATED.format(url=hello.url, gate=gate))
    process = await start(*_command("run", path), cwd=tmp_path)
    _, err = await process.communicate()
    assert process.returncode == code, err


CROWD = """
load_tests:
  crowd: {{base_url: "{url}", duration_seconds: 0.5, concurrent_users: 80, think_time_seconds: 0.1,
           endpoints: [{{path: /}}], generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}}}
"""


async def test_too_few_file_descriptors_make_the_run_invalid(start: Start, hello: Any, tmp_path: Path):
    """Eighty users with forty descriptors: counted under its own name, and the run is worth nothing."""
    path = tmp_path / "t.yml"
    path.write_text(CROWD.format(url=hello.url))
    command = ["prlimit", "--nofile=40:40", *_command("run", path)]
    process = await start(*command, cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == ExitCode.INVALID, err
    assert "no_file_descriptors" in out.decode()
    assert "the generator ran out of file descriptors" in out.decode()
