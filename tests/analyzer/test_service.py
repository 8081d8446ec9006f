"""The service from outside: real Prometheus, real process, real requests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_analyzer.app import open_loop, run_once
from perfloop_analyzer.cli import main
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMITS = """
signals:
- {signal: depth, title: Queue depth, component: database, kind: use, unit: items, warning: 10, expr: depth}
"""
BOTTLENECK = 'perfloop_bottleneck{resource="database",service="shop",severity="critical"}'


def _until(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except (OSError, urllib.error.URLError):
            found = None
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.2)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _post(url: str, token: str | None = None) -> int:
    request = urllib.request.Request(url, method="POST", headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def running(prometheus: str, tmp_path: Path) -> Iterator[tuple[str, Path, subprocess.Popen[bytes]]]:
    """The analyzer as a process, with a token and a database."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    limits, token = tmp_path / "thresholds.yml", tmp_path / "token"
    limits.write_text(LIMITS)
    token.write_text("sesame")
    command = [sys.executable, "-m", "perfloop_analyzer", "run", f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--prometheus.url={prometheus}", f"--thresholds.file={limits}", f"--web.token-file={token}"]
    command += [f"--store.url=sqlite:///{tmp_path / 'state.db'}", "--interval=1s"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    url = f"http://127.0.0.1:{port}"
    _until(lambda: "ready" in _text(f"{url}/-/ready"))
    yield url, tmp_path, process
    if process.poll() is None:
        process.terminate()
        process.wait(10)


def test_a_finding_comes_lives_and_vanishes(running: tuple[str, Path, Any], service: Any) -> None:
    """Metrics, API, page and report tell of a breach; when it heals, its series are gone and its state is kept."""
    url, _, process = running
    service.text = "depth 50\n"
    _until(lambda: BOTTLENECK in _text(f"{url}/metrics"))
    health = {one["service"]: one for one in _get(f"{url}/api/v1/health")["health"]}
    assert health["shop"]["score"] == 100 - sum(health["shop"]["penalties"].values()) < 100
    assert _get(f"{url}/api/v1/incidents")["incidents"][0]["causes"][0]["component"] == "database"
    assert _get(f"{url}/api/v1/findings")["findings"][0]["evidence"]["expr"] == "depth"
    page = _text(f"{url}/")
    assert "Queue depth" in page
    assert "database" in page
    assert "<svg" in _text(f"{url}/report")
    assert "/api/v1/recommendations/{identifier}/{step}" in _get(f"{url}/openapi.json")["paths"]
    service.text = "depth 1\n"
    _until(lambda: "perfloop_bottleneck{" not in _text(f"{url}/metrics"))
    assert _get(f"{url}/api/v1/findings")["findings"] == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_the_life_of_a_recommendation_over_http(running: tuple[str, Path, Any], service: Any, capfd: Any) -> None:
    """Without the token nothing moves; with it each step follows the states, and survives a SIGKILL right after."""
    url, folder, process = running
    service.text = (
        '# TYPE db_client_connection_count gauge\ndb_client_connection_count{pool="main",state="used"} 10\n'
        '# TYPE db_client_connection_max gauge\ndb_client_connection_max{pool="main"} 10\n'
    )
    made = _until(lambda: _get(f"{url}/api/v1/recommendations?standing=true"))[0]
    assert made["rule"] == "pool_too_small"
    step = f"{url}/api/v1/recommendations/{made['id']}"
    assert [
        _post(f"{step}/accept"),
        _post(f"{step}/accept", "guess"),
        _post(f"{step}/accept", "sesame"),
        _post(f"{step}/implement", "sesame"),
        _post(f"{step}/implement", "sesame"),
    ] == [401, 401, 200, 200, 409]
    assert _post(f"{url}/api/v1/recommendations/nobody/accept", "sesame") == 404
    assert _post(f"{step}/explode", "sesame") == 404
    one = _get(step)
    assert one["state"] == "implemented"
    assert [event["step"] for event in one["events"]] == ["open", "accept", "implement"]
    _until(lambda: f'id="{made["id"]}"' in _text(f"{url}/metrics") and 'state="implemented"' in _text(f"{url}/metrics"))
    process.kill()
    process.wait(10)
    store = f"--store.url=sqlite:///{folder / 'state.db'}"
    assert main(["recommendations", store, "--state=implemented", "--json"]) == ExitCode.OK
    assert made["id"] in capfd.readouterr().out
    assert main(["reopen", made["id"], store]) == ExitCode.OK
    assert main(["accept", "nobody", store]) == ExitCode.FAILED


def test_metrics_are_well_formed(running: tuple[str, Path, Any], promtool: str, service: Any) -> None:
    """The real promtool finds no fault that is ours."""
    url, _, _ = running
    service.text = "depth 50\n"
    _until(lambda: "perfloop_bottleneck{" in _text(f"{url}/metrics"))
    text = _text(f"{url}/metrics")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert not [line for line in done.stderr.splitlines() if line.startswith("perfloop")], done.stderr


async def test_once_finds_and_prints(prometheus: str, service: Any, tmp_path: Path, capsysbinary: Any) -> None:
    """One analysis for a terminal, as a table and as JSON, and one report in one file."""
    service.text = "depth 50\n"
    limits = tmp_path / "thresholds.yml"
    limits.write_text(LIMITS)
    config = RunConfig(SourceConfig(prometheus), thresholds_file=limits)
    for _ in range(100):
        if (await run_once(config)).findings:
            break
        await asyncio.sleep(0.2)
    flags = [f"--prometheus.url={prometheus}", f"--thresholds.file={limits}"]
    assert await asyncio.to_thread(main, ["once", "--json", *flags]) == ExitCode.OK
    told = json.loads(capsysbinary.readouterr().out)
    assert told["findings"][0]["signal"] == "depth"
    assert await asyncio.to_thread(main, ["once", *flags]) == ExitCode.OK
    assert b"health of shop" in capsysbinary.readouterr().out
    page = tmp_path / "report.html"
    assert await asyncio.to_thread(main, ["report", "--html", str(page), *flags]) == ExitCode.OK
    html = page.read_text()
    for part in (
        'id="now"',
        'id="plots"',
        'id="history"',
        'id="alerts"',
        'id="recommendations"',
        "<svg",
        "Queue depth",
    ):
        assert part in html
    assert "http://" not in html.replace("http://127.0.0.1", "")
    assert "<script" not in html


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (
            ["once", "--interval=soon", "--prometheus.url=ftp://x"],
            ExitCode.USAGE,
            "--interval: 'soon' is not a duration",
        ),
        (["once", "--prometheus.url=ftp://x"], ExitCode.USAGE, "must begin with http:// or https://"),
        (["run", "--web.listen-address=here"], ExitCode.USAGE, "--web.listen-address has value 'here'"),
        (["once", "--thresholds.file=/absent.yml"], ExitCode.USAGE, "/absent.yml: cannot be read"),
        (["once", "--prometheus.header=x"], ExitCode.USAGE, "--prometheus.header has value 'x'"),
        (["once", "--query.points=3"], ExitCode.USAGE, "--query.points has value 3: it must be at least 16"),
        (["run", "--web.token-file=/absent"], ExitCode.USAGE, "/absent: the secret cannot be read"),
        (["once", "--prometheus.url=http://127.0.0.1:9"], ExitCode.SOURCE_UNAVAILABLE, "does not answer"),
        (["recommendations", "--store.url=sqlite:////absent/x"], ExitCode.STORE_FAILED, "unable to open"),
        (["dance"], ExitCode.USAGE, "invalid choice"),
    ],
)
def test_mistakes_are_one_sentence_and_an_exit_code(flags: list[str], code: int, sentence: str, capfd: Any) -> None:
    """The thing, the value and the rule; never a traceback."""
    assert code == main(flags)
    told = capfd.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_a_taken_port_is_said(free_port: int, capfd: Any) -> None:
    """The second analyzer on a port names it and ends."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        code = main(["run", f"--web.listen-address=127.0.0.1:{free_port}", "--prometheus.url=http://127.0.0.1:9"])
    assert code == ExitCode.USAGE
    assert f"127.0.0.1:{free_port}" in capfd.readouterr().err


async def test_every_problem_of_every_file_comes_at_once(tmp_path: Path) -> None:
    """Limits, catalogue and all."""
    bad = tmp_path / "bad.yml"
    bad.write_text("signals: [{name: X}]\n")
    with pytest.raises(ConfigError) as caught:
        async with open_loop(RunConfig(thresholds_file=bad, catalog_files=[bad], rule_files=[bad])):
            pass
    assert len(caught.value.problems) >= 5
    assert any("field 'rules' is missing" in problem for problem in caught.value.problems)


def test_help_of_every_command(capfd: Any) -> None:
    """Each command explains itself."""
    for command in ("run", "once", "report", "recommendations", "accept", "implement", "dismiss", "reopen"):
        assert main([command, "--help"]) == 0
    assert os.linesep in capfd.readouterr().out
