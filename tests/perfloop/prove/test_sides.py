"""The two sides of a proof: commands that switch, fail, hang, and are always taken back."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfloop.prove import sides as module
from perfloop.prove.cli import main
from perfloop.prove.config import ProofConfig
from perfloop.prove.sides import WITH, WITHOUT, Sides
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen.errors import SwitchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Handler(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def service() -> Iterator[str]:
    """A service that answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _sides(url: str, log: Path, apply: str = "true", revert: str = "true") -> Sides:
    commands = {WITH: f"echo with >> {log}; {apply}", WITHOUT: f"echo without >> {log}; {revert}"}
    return Sides({WITHOUT: url, WITH: url}, commands)


def _apply(sides: Sides) -> None:
    with sides:
        sides.switch(WITH)


def test_commands_run_when_the_side_changes_and_once_more_at_the_end(service: str, tmp_path: Path) -> None:
    """The service begins without the change, and is left so."""
    log = tmp_path / "log"
    with _sides(service, log) as sides:
        for side in (WITHOUT, WITH, WITH, WITHOUT, WITH):
            assert sides.switch(side) == service
    assert log.read_text().split() == ["with", "without", "with", "without"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_a_change_is_taken_back_whatever_happens(service: str, tmp_path: Path, failure: type[BaseException]) -> None:
    """An error of anything in between, and Ctrl+C."""
    log = tmp_path / "log"

    def play() -> None:
        with _sides(service, log) as sides:
            sides.switch(WITH)
            raise failure

    with pytest.raises(failure):
        play()
    assert log.read_text().split() == ["with", "without"]


def test_a_command_that_fails_is_one_sentence_and_taken_back(service: str, tmp_path: Path) -> None:
    """It may have done half of its work."""
    log = tmp_path / "log"
    apply = "echo no such database >&2; exit 3"
    with pytest.raises(SwitchError, match=r"--apply .* ended with 3: no such database"):
        _apply(_sides(service, log, apply))
    assert log.read_text().split() == ["with", "without"]


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time; also what it started in the background."""
    monkeypatch.setattr(module, "COMMAND_SECONDS", 0.5)
    log = tmp_path / "log"
    started = time.monotonic()
    apply = f"(sleep 3; echo late >> {log}) & sleep 30"
    with pytest.raises(SwitchError, match=r"--apply .* did not end within 500 ms"):
        _apply(_sides(service, log, apply))
    assert time.monotonic() - started < 10
    time.sleep(max(0.0, 3.5 - (time.monotonic() - started)))
    assert log.read_text().split() == ["with", "without"]


def test_a_program_that_is_ended_takes_its_change_back(service: str, tmp_path: Path) -> None:
    """By a real SIGTERM, as a pipeline sends it whose time is up."""
    log = tmp_path / "log"
    script = (
        "import sys, time; from perfloop.prove.sides import WITH, WITHOUT, Sides\n"
        "url, log = sys.argv[1:]\n"
        "commands = {side: f'echo {side} >> {log}' for side in (WITH, WITHOUT)}\n"
        "with Sides({WITH: url, WITHOUT: url}, commands) as sides:\n"
        "    sides.switch(WITH); print('applied', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, service, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "applied\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) != 0
    assert log.read_text().split() == ["with", "without"]


def test_a_server_that_a_command_leaves_behind_is_not_waited_for(service: str, tmp_path: Path) -> None:
    """A deployment starts one, which keeps what it inherited open."""
    started = time.monotonic()
    _apply(_sides(service, tmp_path / "log", "sleep 20 &"))
    assert time.monotonic() - started < 10


def test_a_service_that_does_not_come_back_is_named(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it answers."""
    monkeypatch.setattr(module, "READY_SECONDS", 0.5)
    monkeypatch.setattr(_Handler, "status", 503)
    with pytest.raises(SwitchError, match="was not healthy within 500 ms: the answer was 503"):
        _sides(service, tmp_path / "log").switch(WITHOUT)
    with pytest.raises(SwitchError, match="ConnectError"):
        Sides({WITHOUT: "http://127.0.0.1:9", WITH: "http://127.0.0.1:9"}).switch(WITHOUT)


URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({}, ["give either --before URL --after URL, or --url URL --apply COMMAND --revert COMMAND"]),
        ({"before": URL}, ["--after is missing: both addresses are needed"]),
        ({"url": URL, "apply": "x"}, ["--revert is missing: --url, --apply and --revert belong together"]),
        ({"before": URL, "after": URL, "url": URL}, ["give either --before URL --after URL, or --url URL"]),
        ({"before": "ftp://x", "after": URL, "block": 5.0}, ["--before: must start with", "--block=5s is too short"]),
        ({"before": URL, "after": URL, "start": 2.0, "end": 1.0}, ["--from is not before --to"]),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, object], problems: list[str]) -> None:
    """All problems together."""
    with pytest.raises(ConfigError) as caught:
        ProofConfig(**settings).check()  # type: ignore[arg-type]
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert found.startswith(expected)


def test_nothing_runs_without_an_analyzer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and the code of a stack that does not run."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("PERFLOOP_ANALYZER_PORT", "9")
    assert main(["some-id", "--before", URL, "--after", URL]) == ExitCode.NOT_RUNNING
    assert main(["some-id"]) == ExitCode.USAGE
