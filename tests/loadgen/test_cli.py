"""The program as a process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ExitCode
from perfloop_loadgen import compare_cli
from perfloop_loadgen.cli import Reports, main
from perfloop_loadgen.reporters.files import RENDERERS

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
    """Return a page once it is served and holds what is waited for: on a busy machine that takes its time."""
    for _ in range(1200):
        try:
            status, page = await asyncio.to_thread(_get, address)
        except OSError:
            page = ""
        if page and holds in page:
            return status, page
        await asyncio.sleep(0.05)
    raise AssertionError(address)


def _wait_for_requests(service: Any) -> bool:
    for _ in range(600):
        if service.requests:
            return True
        time.sleep(0.05)
    return False


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
    """Until it is stopped the run serves valid metrics; the last scrape counts every request of the server."""
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url="http://127.0.0.1:1", duration=0))
    address = f"127.0.0.1:{free_port}"
    process = await start(*_command("run", path, "--url", hello.url, "--web.listen-address", address), cwd=tmp_path)
    assert (await _get_soon(f"{address}/-/healthy"))[0] == 200
    assert (await _get_soon(f"{address}/-/ready"))[0] == 200
    _, text = await _get_soon(f"{address}/metrics", holds="loadgen_phase{")
    (run,) = set(re.findall(r'run_id="([0-9a-f]{12})"', text))
    assert f'loadgen_response_seconds_bucket{{endpoint="GET /",le="0.5",run_id="{run}",test="quick"}}' in text
    assert f'loadgen_phase{{phase="steady",run_id="{run}",test="quick"}} 1.0' in text
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
    labels = f'endpoint="GET /",outcome="ok",run_id="{run}",test="quick"'
    count = f"loadgen_requests_total{{{labels}}} {len(hello.requests)}.0"
    assert count in last
    assert 'verdict="passed"} 1.0' in last
    assert "loadgen_phase{" not in last
    assert f"{len(hello.requests)} requests" in out.decode()


async def test_a_run_stopped_half_way_reports_what_it_measured(
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


async def test_an_ad_hoc_run_is_announced_to_prometheus(start: Start, hello: Any, tmp_path: Path):
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
        (["run", "a", "--web.listen-address", "x"], ExitCode.USAGE, "--web.listen-address: 'x' is not an address"),
        (["run", "--profile", "basic", "--url", "http://no-such-host.invalid"], ExitCode.USAGE, "does not resolve"),
    ],
)
def test_a_bad_command_is_answered_with_one_sentence(
    tmp_path: Path, arguments: list[str], code: ExitCode, sentence: str
):
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
    assert process.returncode == ExitCode.PORT_TAKEN
    assert f"of {address} is taken by another program" in err.decode()
    assert not hello.requests


async def test_a_full_disk_at_report_time_keeps_the_results_on_stdout(start: Start, hello: Any, tmp_path: Path):
    """No file may grow beyond 100 bytes: the numbers are on stdout, the problem in one sentence, no partial file."""
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url=hello.url, duration=0.3))
    command = ["prlimit", "--fsize=100", *_command("run", path, "--report.html", "r.html")]
    process = await start(*command, cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == ExitCode.NOT_WRITTEN, err
    assert f"{len(hello.requests)} requests" in out.decode()
    assert "--report.html: r.html cannot be written: File too large" in err.decode()
    left = await asyncio.to_thread(lambda: [found.name for found in tmp_path.iterdir()])
    assert sorted(left) == [".perfloop", "t.yml"]


async def test_every_test_of_a_file_is_read_before_the_first_runs(start: Start, hello: Any, tmp_path: Path):
    """A gate of the second test that cannot be read is reported before any request."""
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


@pytest.mark.parametrize(("gate", "code"), [("p95 < 9 s", 0), ("p95 < 1 us", 1), ("ttft_p95 < 1 s", 9)])
async def test_the_verdict_is_the_exit_code(start: Start, hello: Any, tmp_path: Path, gate: str, code: int):
    """Passed 0, failed 1, invalid 9."""
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
    """Eighty users with forty descriptors: counted under its own name, and the run is invalid."""
    path = tmp_path / "t.yml"
    path.write_text(CROWD.format(url=hello.url))
    command = ["prlimit", "--nofile=40:40", *_command("run", path)]
    process = await start(*command, cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == ExitCode.INVALID, err
    assert "no_file_descriptors" in out.decode()
    assert "the generator ran out of file descriptors" in out.decode()


UNANSWERED = """
load_tests:
  quick: {{base_url: "{url}", duration_seconds: 0.3, concurrent_users: 2, think_time_seconds: 0.01,
          endpoints: [{{path: /}}], thresholds: [{{promql: up, expect: '> 0'}}{gate}],
          generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}}}
"""


@pytest.mark.parametrize(
    ("gate", "code"), [("", ExitCode.SOURCE_UNAVAILABLE), (", 'ttft_p95 < 1 s'", ExitCode.INVALID)]
)
async def test_a_prometheus_that_does_not_answer_has_a_code_of_its_own(  # noqa: PLR0913 - fixtures and a table
    start: Start, hello: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, gate: str, code: ExitCode
):
    """Without an answer of the local Prometheus, at the port of its variable: 12; with another reason too: invalid."""
    monkeypatch.setenv("PERFLOOP_PROMETHEUS_PORT", "1")
    path = tmp_path / "t.yml"
    path.write_text(UNANSWERED.format(url=hello.url, gate=gate))
    process = await start(*_command("run", path), cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == code, err
    assert "prometheus_url: http://127.0.0.1:1: " in out.decode()


async def test_without_a_url_the_local_demo_is_tested(
    start: Start, hello: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A profile follows PERFLOOP_DEMO_PORT and says which service it tests; `--log.format json` gives JSON lines."""
    monkeypatch.setenv("PERFLOOP_DEMO_PORT", hello.url.rpartition(":")[2])
    process = await start(*_command("run", "--profile", "basic", "--log.format", "json"), cwd=tmp_path)
    lines = [json.loads(await process.stderr.readline()) for _ in range(3)]
    assert await asyncio.to_thread(_wait_for_requests, hello)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert [line["msg"] for line in lines] == [
        f"neither --url nor base_url is given: testing the demo service at {hello.url}",
        "serving live metrics",
        f"basic load test: constant_users against {hello.url}",
    ]
    assert lines[1]["url"].startswith("http://127.0.0.1:")


async def test_ad_hoc_runs_take_the_ports_after_the_stacks_own(
    start: Start, hello: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """PERFLOOP_LOADGEN_PORT is the steady load's: other runs use the first free port of the nine after it."""
    monkeypatch.setenv("PERFLOOP_LOADGEN_PORT", "29620")
    path = tmp_path / "t.yml"
    path.write_text(TEST.format(url=hello.url, duration=0.2))
    process = await start(*_command("run", path), cwd=tmp_path)
    _, err = await process.communicate()
    found = re.search(r"msg=\"serving live metrics\" url=http://127\.0\.0\.1:(\d+)/metrics", err.decode())
    assert found is not None
    assert 29621 <= int(found[1]) <= 29629


def test_every_kind_of_report_has_a_flag():
    """The flags of `run` and the renderers are the same."""
    assert [kind.name for kind in fields(Reports)] == list(RENDERERS)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["breakpoint", "--start-rate", "0"], "--start-rate: '0' must be above 0"),
        (["breakpoint", "--step-seconds", "0.1"], "--step-seconds: '0.1' is too small: the minimum is 0.5"),
        (["compare", "a", "b", "--tolerance", "x%"], "--tolerance: 'x%' is not a number of per cent, as 10"),
        (["compare", "a", "b", "--tolerance", "-1"], "--tolerance: '-1' must not be negative"),
        (["ab", "http://a", "http://b", "--profile", "basic", "--rounds", "0"], "--rounds: '0' is too small"),
        (["calibrate", "--seconds", "inf"], "--seconds: 'inf' must be above 0"),
        (["run", "--profile", "quick"], "--profile: 'quick' is not one of basic, stress, spike, endurance"),
        (["run", "--report.pdf", "x"], "unknown flag: '--report.pdf'"),
    ],
)
def test_a_bad_flag_is_named(capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str):
    """Each value that breaks a rule: the flag, the value, the rule."""
    assert main(argv) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith(f"perfloop loadgen: {sentence}")


@pytest.mark.parametrize(
    ("words", "urls", "commands"),
    [
        (["http://a/", "http://b", "FILE"], ("http://a", "http://b"), {}),
        (
            ["http://a", "FILE", "--a-command", "old", "--b-command", "new"],
            ("http://a", "http://a"),
            {"A": "old", "B": "new"},
        ),
    ],
)
def test_two_builds_are_two_addresses_or_one_with_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], urls: tuple[str, str], commands: dict[str, str]
):
    """`ab` keeps both apart; the smallest effect is a share, under either of its names."""
    calls: list[tuple[Any, ...]] = []

    async def record(*arguments: Any) -> ExitCode:
        calls.append(arguments)
        return ExitCode.OK

    monkeypatch.setattr(compare_cli, "ab", record)
    file = tmp_path / "t.yml"
    file.write_text(TEST.format(url="http://c", duration=1))
    given = [str(file) if word == "FILE" else word for word in words]
    assert main(["ab", *given, "--tolerance", "7%", "--rounds", "3", "--seed", "4", "--measures", "p50,p95"]) == 0
    [(config, plan, options, *_)] = calls
    assert config.name == "quick"
    assert (plan.urls, plan.rounds, plan.seed, plan.commands.by_side) == (urls, 3, 4, commands)
    assert (options.min_effect, options.measures) == (0.07, ("p50", "p95"))


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["compare"], "give the runs of both sides: BASE NEW, or --base RUN … --new RUN …"),
        (["compare", "a.json"], "give the runs of both sides"),
        (["compare", "a.json", "b.json", "--base", "c.json"], "give either BASE NEW, or --base and --new"),
        (["compare", "a.json", "b.json"], "a.json: cannot be read: No such file or directory"),
        (["compare", "a.json", "b.json", "--measures", "p50,p96"], "--measures: 'p96' is none of p50, p95, p99"),
        (["compare", "a.json", "b.json", "--min-effect", "x"], "--min-effect: 'x' is not a number of per cent, as 10"),
        (["ab", "http://a"], "give A B [FILE], or A [FILE] with --a-command and --b-command that switch it"),
        (["ab", "http://a", "--profile", "basic", "--a-command", "x"], "--a-command and --b-command go together"),
        (["gate"], "give either a FILE or a --profile"),
        (["gate", "--profile", "basic", "--cannot-tell", "x"], "--cannot-tell: 'x' is not one of fail, pass"),
        (["calibrate", "--noise", "none.yml"], "none.yml: "),
        (["calibrate", "--noise", "none.yml", "--runs", "3"], "--runs: '3' is too small: the minimum is 8"),
    ],
)
def test_a_comparison_that_is_not_one_is_a_sentence(capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str):
    """Exit code 2, the flag or the name, and the rule."""
    assert main(argv) == ExitCode.USAGE
    assert capsys.readouterr().err.rpartition("perfloop loadgen: ")[2].startswith(sentence)
