"""`perfloop loadgen run` with load, duration and repetition on the command line, as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ExitCode
from perfloop_loadgen.cli import main

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
load_tests:
  shop: {{base_url: "{url}", duration_seconds: 300, ramp_up_seconds: 60, endpoints: [{{path: /}}],
         think_time_seconds: 0.01, generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9, achieved_ratio: 0}}}}
"""


async def _start(directory: Path, *arguments: object) -> asyncio.subprocess.Process:
    command = [
        sys.executable,
        "-m",
        "perfloop_loadgen",
        "run",
        *map(str, arguments),
        "--web.listen-address=127.0.0.1:0",
    ]
    return await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1, cwd=directory)


async def _run(directory: Path, *arguments: object) -> tuple[int, str, str]:
    process = await _start(directory, *arguments)
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_url_in_place_of_a_file(hello: Any, tmp_path: Path):
    """As wrk and oha take it: method, header, body and rate on the command line."""
    load = ("--duration=500ms", "--users=5", "--rate=6000/m", "--method=POST", "--body={}", "--header=X-Who: me")
    code, out, err = await _run(tmp_path, f"{hello.url}/a?b=1", *load, "--report.json=r.json")
    assert code in {ExitCode.OK, ExitCode.INVALID}, err
    assert hello.requests[0].startswith(b"POST /a?b=1 HTTP/1.1\r\n")
    assert b"\r\nX-Who: me\r\n" in hello.requests[0]
    assert b"\r\nContent-Type: application/json\r\n" in hello.requests[0]
    document = json.loads((tmp_path / "r.json").read_bytes())
    assert document["config"]["load"] == {"shape": "constant_rate", "rate": 100, "max_in_flight": 5}
    assert document["summary"]["total"]["total_requests"] == len(hello.requests) == 50
    assert out.startswith(f"{hello.url.removeprefix('http://')}/a\n")


async def test_a_search_takes_a_url_too(hello: Any, tmp_path: Path):
    """Each of its rates is one of requests to that address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "perfloop_loadgen", "breakpoint", f"{hello.url}/a", "--step-seconds=0.5"),
        *("--web.listen-address=127.0.0.1:0",),
        stdout=-1,
        stderr=-1,
        cwd=tmp_path,
    )
    try:
        async with asyncio.timeout(60):
            while len(hello.requests) < 8:  # noqa: ASYNC110 - requests of another process are no event
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == ExitCode.STOPPED
    assert {request.split(b"\r\n")[0] for request in hello.requests} == {b"GET /a HTTP/1.1"}


async def test_a_duration_of_a_file_moves_its_ramp(hello: Any, tmp_path: Path):
    """In the load and in the note of the report."""
    (tmp_path / "test.yml").write_text(FILE.format(url=hello.url))
    code, out, _ = await _run(tmp_path, "test.yml", "--duration=1s", "--users=4")
    assert code == ExitCode.OK
    assert "note: ramp_up_seconds is 0.2 s instead of 60 s: in proportion to a duration of 1 s" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--profile=spike", "--rate=5"], "spike test: --rate needs an open shape: the test has the shape spike"),
        (["--profile=basic", "--duration=5"], "--duration: '5' is not a duration: write numbers with units"),
        (["--profile=basic", "--users=0"], "--users: '0' is not a whole number above 0"),
        (["--profile=basic", "--method=POST"], "--method, --header and --body are of a request to a URL"),
        (["http://127.0.0.1:1/", "--profile=basic"], "give either a URL or one of --profile, --test and --url"),
        (["http://127.0.0.1:port/"], "http://127.0.0.1:port/"),
        (["--profile=basic", "--max-repeats=5"], "--max-repeats and --max-time go with --until-interval"),
        (["--profile=basic", "--repeat=2", "--duration=0"], "only a test that ends can be repeated"),
    ],
)
def test_what_is_wrong_is_a_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    """And nothing runs."""
    assert main(["run", *arguments]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


async def test_runs_that_are_repeated(hello: Any, tmp_path: Path):
    """A line for each run, the interval, one report; an interval that is not reached is a code of its own."""
    (tmp_path / "test.yml").write_text(FILE.format(url=hello.url))
    flags = ("--duration=300ms", "--users=2", "--report.json=r.json")
    code, out, err = await _run(tmp_path, "test.yml", *flags, "--repeat=3")
    assert code == ExitCode.OK, err
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("  run ")] == [
        f"  run {number}" for number in (1, 2, 3)
    ]
    assert "note: p95 " in out
    document = json.loads((tmp_path / "r.json").read_bytes())
    assert len(document["repeats"]["runs"]) == 3
    assert document["summary"]["total"]["total_requests"] == len(hello.requests)

    code, out, _ = await _run(tmp_path, "test.yml", *flags, "--until-interval=0.0001%", "--max-repeats=2")
    assert code == ExitCode.UNDECIDED
    assert "wider than ± 0.0001%" in out


async def test_ctrl_c_ends_the_repetition(hello: Any, tmp_path: Path):
    """With what was measured, and no further run."""
    (tmp_path / "test.yml").write_text(FILE.format(url=hello.url))
    process = await _start(tmp_path, "test.yml", "--duration=20s", "--users=2", "--repeat=9", "--report.json=r.json")
    try:
        async with asyncio.timeout(60):
            while not hello.requests:  # noqa: ASYNC110 - requests of another process are no event
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == ExitCode.STOPPED
    document = json.loads((tmp_path / "r.json").read_bytes())
    assert [run["left_out"] for run in document["repeats"]["runs"]] == ["stopped by SIGINT"]
    assert document["summary"]["total"]["total_requests"] == len(hello.requests)
