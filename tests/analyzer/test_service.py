"""The service from outside: real Prometheus, real process, real requests."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_analyzer.app import open_loop, run_once
from perfloop_analyzer.cli import main
from perfloop_analyzer.config import RunConfig, SourceConfig, WebConfig
from perfloop_base.errors import ConfigError, ExitCode
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = """
signals:
- {name: depth, title: Queue depth, component: database, kind: use, unit: items, expr: depth,
   limit: {warning: 10, critical: 20}}
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
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@dataclass(frozen=True)
class Running:
    """An analyzer as a process, in a directory that is laid out as `perfloop up` does it."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def thresholds(self) -> Path:
        """The file that it reads its limits from."""
        return self.home / "thresholds.yml"

    def log(self) -> str:
        """What it logged."""
        return (self.home / "log").read_text()


@pytest.fixture
def running(prometheus: str, tmp_path: Path, build: Any) -> Iterator[Running]:
    """The analyzer as a process, with a token and a database."""
    port = find_free_ports(1)[0]
    (tmp_path / "analyzer").mkdir()
    (tmp_path / "analyzer" / "token").write_text("sesame")
    (tmp_path / "signals.yml").write_text(SIGNALS)
    (tmp_path / "thresholds.yml").write_text(build.thresholds(build.threshold(signal="lag", warning=5, critical=9)))
    command = [sys.executable, "-m", "perfloop_analyzer", "run", f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--prometheus.url={prometheus}", f"--catalog.file={tmp_path / 'signals.yml'}"]
    command += [f"--thresholds.file={tmp_path / 'thresholds.yml'}", f"--web.token-file={tmp_path}/analyzer/token"]
    command += [f"--store.url=sqlite:///{tmp_path}/analyzer/analyzer.sqlite", "--interval=1s"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    url = f"http://127.0.0.1:{port}"
    _until(lambda: "ready" in _text(f"{url}/-/ready"), 90.0)
    yield Running(url, tmp_path, process)
    if process.poll() is None:
        process.terminate()
        process.wait(10)


def test_a_finding_comes_lives_and_vanishes(running: Running, service: Any) -> None:
    """Metrics, API, page and report show a breach; when it heals, its series are gone and its state is kept."""
    url, process = running.url, running.process
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


POOL = (
    '# TYPE db_client_connection_count gauge\ndb_client_connection_count{pool="main",state="used"} 10\n'
    '# TYPE db_client_connection_max gauge\ndb_client_connection_max{pool="main"} 10\n'
)


def _recommended(url: str) -> dict[str, Any]:
    found: dict[str, Any] = _until(lambda: _get(f"{url}/api/v1/recommendations?standing=true"))[0]
    return found


def test_the_life_of_a_recommendation_over_http(running: Running, service: Any) -> None:
    """Without the token nothing changes; with it each step follows the states."""
    url = running.url
    service.text = POOL
    recommendation = _recommended(url)
    assert recommendation["rule"] == "pool_too_small"
    step = f"{url}/api/v1/recommendations/{recommendation['id']}"
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
    identifier = recommendation["id"]
    _until(lambda: f'id="{identifier}"' in (text := _text(f"{url}/metrics")) and 'state="implemented"' in text)


def test_the_command_of_the_page_works_as_printed(running: Running, service: Any, tmp_path: Path) -> None:
    """A person copies it from the page into a shell, in any directory, and the running analyzer knows."""
    service.text = POOL
    recommendation = _recommended(running.url)
    page = html.unescape(_text(f"{running.url}/"))
    command = page.partition("Accept it: <code>")[2].partition("</code>")[0]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERFLOOP_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (f"{recommendation['id']} is now accepted\n", 0), done.stderr
    assert _get(f"{running.url}/api/v1/recommendations/{recommendation['id']}")["state"] == "accepted"


def _freeze_between_writes(running: Running) -> None:
    """Stop the process while its database is free: one that is frozen while it writes keeps the lock."""
    for _ in range(100):
        running.process.send_signal(signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(running.home / "analyzer" / "analyzer.sqlite", timeout=0)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                running.process.send_signal(signal.SIGCONT)
                time.sleep(0.2)
            else:
                database.rollback()
                return
    raise AssertionError("the database was never free")


def test_commands_find_the_running_stack(running: Running, service: Any, monkeypatch: Any, capfd: Any) -> None:
    """Without a flag: over HTTP while it runs, from its database after a SIGKILL; what was decided is still there."""
    service.text = POOL
    identifier = _recommended(running.url)["id"]
    monkeypatch.setenv("PERFLOOP_HOME", str(running.home))
    monkeypatch.setenv("PERFLOOP_ANALYZER_PORT", running.url.rpartition(":")[2])
    assert main(["accept", identifier]) == ExitCode.OK
    assert _get(f"{running.url}/api/v1/recommendations/{identifier}")["state"] == "accepted"
    assert main(["accept", identifier]) == ExitCode.FAILED
    assert f"recommendation '{identifier}' is accepted" in capfd.readouterr().err
    assert main(["recommendations"]) == ExitCode.OK
    assert "no result" not in capfd.readouterr().out.lower()
    _freeze_between_writes(running)
    later = time.time() + 600
    with monkeypatch.context() as patch:
        patch.setattr("perfloop_analyzer.cli.time.time", lambda: later)
        assert main(["recommendations"]) == ExitCode.OK
        shown = capfd.readouterr().out
    assert shown.startswith("The analyzer does not answer: no result since 20")
    assert "(10 min)" in shown.partition("\n")[0]
    assert identifier in shown
    running.process.kill()
    running.process.wait(10)
    assert main(["recommendations", "--state=accepted", "--json"]) == ExitCode.OK
    assert [one["id"] for one in json.loads(capfd.readouterr().out)] == [identifier]
    assert main(["reopen", identifier]) == ExitCode.OK
    assert main(["accept", "nobody"]) == ExitCode.FAILED


def test_without_its_token_the_running_analyzer_changes_nothing(
    running: Running, monkeypatch: Any, tmp_path: Path, capfd: Any
) -> None:
    """One sentence says which places were looked at, or which token was refused."""
    home = tmp_path / "elsewhere"
    monkeypatch.setenv("PERFLOOP_HOME", str(home))
    monkeypatch.delenv("PERFLOOP_ANALYZER_TOKEN_FILE", raising=False)
    assert main(["accept", "x", f"--web.url={running.url}"]) == ExitCode.FAILED
    places = f"--web.token-file, PERFLOOP_ANALYZER_TOKEN_FILE or {home}/analyzer/token"
    assert f"needs a token; none in {places}" in capfd.readouterr().err
    (tmp_path / "wrong").write_text("guess")
    monkeypatch.setenv("PERFLOOP_ANALYZER_TOKEN_FILE", str(tmp_path / "wrong"))
    assert main(["accept", "x", f"--web.url={running.url}"]) == ExitCode.FAILED
    assert "a valid bearer token is needed" in capfd.readouterr().err


def test_what_is_not_there_is_named_with_every_place(tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    """Neither an analyzer nor its database: the sentence names both, and what to do."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    port = find_free_ports(1)[0]
    monkeypatch.setenv("PERFLOOP_ANALYZER_PORT", str(port))
    assert main(["recommendations"]) == ExitCode.NOT_RUNNING
    sentence = capfd.readouterr().err
    assert f"http://127.0.0.1:{port} does not answer and {tmp_path}/analyzer/analyzer.sqlite does not exist" in sentence
    assert "perfloop up" in sentence


def test_changed_thresholds_are_used_within_a_cycle(running: Running, service: Any, build: Any) -> None:
    """A file that is replaced by a rename takes effect without a restart; what is in use can be read."""
    thresholds = f"{running.url}/api/v1/thresholds"
    assert _get(thresholds)["source"] == str(running.thresholds)
    assert _get(thresholds)["signals"]["lag"]["warning"] == 5
    service.text = "lag 3\n"
    time.sleep(2.5)
    assert _get(f"{running.url}/api/v1/findings")["findings"] == []
    _replace(running.thresholds, build.thresholds(build.threshold(signal="lag", record="lag", warning=1, critical=2)))
    _until(lambda: _get(thresholds)["signals"]["lag"]["warning"] == 1, 10)
    _until(lambda: [one["signal"] for one in _get(f"{running.url}/api/v1/findings")["findings"]] == ["lag"])


def test_a_broken_file_leaves_the_last_good_one_in_use(running: Running, build: Any) -> None:
    """It is logged once, in one sentence with file and line, and a metric shows it until the file is valid again."""
    ok = "perfloop_analyzer_config_last_reload_successful"
    success = "perfloop_analyzer_config_last_reload_success_timestamp_seconds"
    assert f"{ok} 1.0" in _text(f"{running.url}/metrics")
    good = running.thresholds.read_text()
    _replace(running.thresholds, good.replace("warning: 5", "warning: much"))
    _until(lambda: f"{ok} 0.0" in _text(f"{running.url}/metrics"), 10)
    time.sleep(2.5)
    assert _get(f"{running.url}/api/v1/thresholds")["signals"]["lag"]["warning"] == 5
    lines = [line for line in running.log().splitlines() if "level=error" in line]
    assert len(lines) == 1, lines
    assert "thresholds.yml:" in lines[0]
    assert "warning has the value 'much'" in lines[0]
    assert "The changed configuration is not in use: " in _text(f"{running.url}/")
    _replace(running.thresholds, good.replace("warning: 5", "warning: 6"))
    _until(lambda: f"{ok} 1.0" in _text(f"{running.url}/metrics"), 10)
    assert _get(f"{running.url}/api/v1/thresholds")["signals"]["lag"]["warning"] == 6
    lines = [line for line in _text(f"{running.url}/metrics").splitlines() if line.startswith(success)]
    assert abs(float(lines[0].split()[1]) - time.time()) < 30


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_metrics_are_valid(running: Running, promtool: str, service: Any) -> None:
    """The real promtool finds no problem in the analyzer's own metrics."""
    url = running.url
    service.text = "depth 50\n"
    _until(lambda: "perfloop_bottleneck{" in _text(f"{url}/metrics"))
    text = _text(f"{url}/metrics")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert not [line for line in done.stderr.splitlines() if line.startswith("perfloop")], done.stderr


async def test_once_finds_and_prints(prometheus: str, service: Any, tmp_path: Path, capsysbinary: Any) -> None:
    """One analysis for a terminal, as a table and as JSON, and one report in one file."""
    service.text = "depth 50\n"
    signals = tmp_path / "signals.yml"
    signals.write_text(SIGNALS)
    config = RunConfig(SourceConfig(prometheus), catalog_files=(signals,))
    for _ in range(100):
        if (await run_once(config)).findings:
            break
        await asyncio.sleep(0.2)
    flags = [f"--prometheus.url={prometheus}", f"--catalog.file={signals}"]
    assert await asyncio.to_thread(main, ["once", "--json", *flags]) == ExitCode.OK
    printed = json.loads(capsysbinary.readouterr().out)
    assert printed["findings"][0]["signal"] == "depth"
    assert await asyncio.to_thread(main, ["once", *flags]) == ExitCode.OK
    assert b"health of shop" in capsysbinary.readouterr().out
    page = tmp_path / "report.html"
    assert await asyncio.to_thread(main, ["report", "--html", str(page), *flags]) == ExitCode.OK
    report = page.read_text()
    for part in (
        'id="now"',
        'id="plots"',
        'id="history"',
        'id="alerts"',
        'id="recommendations"',
        "<svg",
        "Queue depth",
    ):
        assert part in report
    assert "http://" not in report.replace("http://127.0.0.1", "")
    assert "<script" not in report


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["once", "--interval=soon"], ExitCode.USAGE, "--interval: 'soon' is not a duration"),
        (["once", "--prometheus.url=ftp://x"], ExitCode.USAGE, "must begin with http:// or https://"),
        (["run", "--web.listen-address=here"], ExitCode.USAGE, "--web.listen-address: 'here' is not an address"),
        (["once", "--thresholds.file=/absent.yml"], ExitCode.USAGE, "/absent.yml: cannot be read"),
        (["once", "--prometheus.header=x"], ExitCode.USAGE, "--prometheus.header: 'x' is not a header"),
        (["once", "--query.points=3"], ExitCode.USAGE, "--query.points: '3' is too small: the minimum is 16"),
        (["run", "--web.token-file=/absent"], ExitCode.USAGE, "/absent: the secret cannot be read"),
        (["once", "--prometheus.url=http://127.0.0.1:9"], ExitCode.SOURCE_UNAVAILABLE, "does not answer"),
        (["recommendations", "--store.url=sqlite:////absent/x"], ExitCode.STORE_FAILED, "unable to open"),
        (["dance"], ExitCode.USAGE, "invalid choice"),
        (["once", "--prometheus.urn=http://x"], ExitCode.USAGE, "did you mean --prometheus.url?"),
        (["accept", "x", "--web.url=http://127.0.0.1:9"], ExitCode.NOT_RUNNING, "no analyzer answers at"),
        (["report", "--html=/absent/x", "--prometheus.url=http://127.0.0.1:9"], ExitCode.SOURCE_UNAVAILABLE, "answer"),
    ],
)
def test_mistakes_are_one_sentence_and_an_exit_code(flags: list[str], code: int, sentence: str, capfd: Any) -> None:
    """The thing, the value and the rule; never a traceback."""
    assert code == main(flags)
    printed = capfd.readouterr().err
    assert sentence in printed
    assert "Traceback" not in printed


def test_a_taken_port_is_named(free_port: int, capfd: Any) -> None:
    """The second analyzer on a port names it and ends."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        code = main(["run", f"--web.listen-address=127.0.0.1:{free_port}", "--prometheus.url=http://127.0.0.1:9"])
    assert code == ExitCode.PORT_TAKEN
    assert f"127.0.0.1:{free_port}" in capfd.readouterr().err


def test_ports_follow_the_environment(monkeypatch: Any, capfd: Any) -> None:
    """Without flags `once` queries the stack's Prometheus and `run` listens on the analyzer's port."""
    monkeypatch.setenv("PERFLOOP_PROMETHEUS_PORT", "9")
    assert main(["once"]) == ExitCode.SOURCE_UNAVAILABLE
    assert "http://127.0.0.1:9 does not answer" in capfd.readouterr().err
    monkeypatch.setenv("PERFLOOP_ANALYZER_PORT", "12345")
    assert str(WebConfig().address()) == "127.0.0.1:12345"


def test_logs_are_json_where_it_is_asked_for(prometheus: str, capfd: Any, tmp_path: Path) -> None:
    """Every program has the same two formats."""
    flags = [f"--prometheus.url={prometheus}", "--log.format=json", "--log.level=debug"]
    # A Prometheus that has just started may have nothing yet.
    seen = main(["report", f"--html={tmp_path / 'r.html'}", *flags])
    assert seen in (ExitCode.OK, ExitCode.SOURCE_UNAVAILABLE)
    assert {"time", "level", "msg"} <= set(json.loads(capfd.readouterr().err.splitlines()[0]))


async def test_every_problem_of_every_file_is_reported_together(tmp_path: Path) -> None:
    """Limits, catalogue and all."""
    bad = tmp_path / "bad.yml"
    bad.write_text("signals: [{name: X}]\n")
    with pytest.raises(ConfigError) as caught:
        async with open_loop(RunConfig(thresholds_file=bad, catalog_files=(bad,), rule_files=(bad,))):
            pass
    assert len(caught.value.problems) >= 5
    assert any("field 'rules' is missing" in problem for problem in caught.value.problems)


def test_help_of_every_command(capfd: Any) -> None:
    """Each command explains itself."""
    for command in ("run", "once", "report", "recommendations", "accept", "implement", "dismiss", "reopen"):
        assert main([command, "--help"]) == 0
    assert os.linesep in capfd.readouterr().out
