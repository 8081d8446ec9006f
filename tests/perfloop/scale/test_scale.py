"""`perfloop scale`: follows the number of a real Prometheus, changes nothing without one, and one command at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.scale.cli import main
from perfloop_base.errors import ExitCode
from tests.support.history import serve_history, write_history
from tests.support.native_stack import PERFLOOP
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIES = {
    'perfloop_desired_replicas{service="shop",instance="a"}': 3.0,
    'perfloop_desired_replicas{service="shop",instance="b"}': 4.0,
    'perfloop_desired_replicas{service="half"}': 2.5,
    'perfloop_desired_replicas{service="many"}': 1e9,
    'perfloop_desired_replicas{service="none"}': float("nan"),
}


@pytest.fixture(scope="module")
def prometheus(prometheus_binary: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus that knows the numbers of some services for the next minutes."""
    now = time.time()
    readings = {name: (lambda _, value=value: value) for name, value in SERIES.items()}
    text = write_history(readings, [now - 60 + 30 * step for step in range(40)])
    with serve_history(prometheus_binary, promtool, tmp_path_factory.mktemp("prometheus"), text) as client:
        yield str(client.base_url).rstrip("/")


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.received.append((json.loads(body), self.headers.get("Authorization")))
        status = server.statuses.pop(0) if server.statuses else 204
        self.send_response(status)
        if status in {301, 302}:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A webhook that keeps what it was sent; `statuses` are its next answers, then 204."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    server.received, server.statuses = [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/scale"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("perfloop.scale.changing.FIRST_PAUSE_SECONDS", 0.01)
    return tmp_path / "home"


def _once(prometheus: str, *arguments: str, service: str = "shop") -> int:
    return main(["--once", f"--service={service}", f"--prometheus.url={prometheus}", *arguments])


def test_a_command_gets_the_number(prometheus: str, tmp_path: Path) -> None:
    """The higher one where two analyzers differ, and the service's name."""
    written = tmp_path / "written"
    assert _once(prometheus, f"--command=echo {{service}} {{replicas}} > {written}") == ExitCode.OK
    assert written.read_text() == "shop 4\n"


def test_a_webhook_gets_the_number_with_its_token(prometheus: str, receiver: Any, tmp_path: Path) -> None:
    """As JSON, with the bearer token of a file."""
    (tmp_path / "token").write_text("let-me-in\n")
    assert _once(prometheus, f"--webhook={receiver.url}", f"--webhook.token-file={tmp_path / 'token'}") == ExitCode.OK
    assert receiver.received == [({"service": "shop", "replicas": 4}, "Bearer let-me-in")]


@pytest.mark.parametrize(
    ("statuses", "code", "sent"),
    [
        ([500, 503], ExitCode.OK, 3),
        ([500, 500, 500], ExitCode.FAILED, 3),
        ([429], ExitCode.OK, 2),
        ([403], ExitCode.FAILED, 1),
        ([302], ExitCode.FAILED, 1),
    ],
    ids=["twice an error", "always an error", "too many", "refused", "elsewhere"],
)
def test_a_webhook_is_tried_again_where_that_may_help(
    prometheus: str, receiver: Any, statuses: list[int], code: int, sent: int
) -> None:
    """Three attempts at an error of the server; a refusal and a redirect are final."""
    receiver.statuses = statuses
    assert _once(prometheus, f"--webhook={receiver.url}") == code
    assert len(receiver.received) == sent


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ("unheard", "unheard: there is no perfloop_desired_replicas, so that nothing is changed"),
        ("none", "none: there is no perfloop_desired_replicas, so that nothing is changed"),
        ("half", "half: perfloop_desired_replicas is 2.5; a number of replicas is whole, from 0 to 10000"),
        ("many", "many: perfloop_desired_replicas is 1e+09; a number of replicas is whole, from 0 to 10000"),
    ],
)
def test_without_a_number_nothing_is_changed(
    prometheus: str, receiver: Any, capsys: pytest.CaptureFixture[str], service: str, sentence: str
) -> None:
    """One sentence, and no request."""
    assert _once(prometheus, f"--webhook={receiver.url}", service=service) == ExitCode.SOURCE_UNAVAILABLE
    assert sentence in capsys.readouterr().err
    assert receiver.received == []


def test_a_command_that_fails_or_hangs_is_one_sentence(prometheus: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its last line with its code, or that it was ended."""
    assert _once(prometheus, "--command=echo no engine: {replicas}; exit 3") == ExitCode.FAILED
    assert "shop: the command of --command ended with 3: no engine: 4" in capsys.readouterr().err
    assert _once(prometheus, "--timeout=300ms", "--command=sleep 30; echo {replicas}") == ExitCode.FAILED
    assert "did not end within 300 ms" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give either --command COMMAND or --webhook URL"),
        (("--command=x {replicas}", "--webhook=http://h/"), "give either --command COMMAND or --webhook URL"),
        (("--command=docker compose up",), "--command does not contain {replicas}"),
        (("--webhook=ftp://h/",), "--webhook: 'ftp://h/' is not a URL"),
        (("--command=x {replicas}", "--webhook.token-file=t"), "--webhook.token-file is for --webhook"),
        (("--webhook=http://h/", "--service=a}b"), "'a}b' is not a service's name"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked or changed."""
    assert main(["--service=shop", *arguments]) == ExitCode.USAGE
    assert sentence in capsys.readouterr().err


def test_it_follows_once_for_each_number_and_alone(prometheus: str, receiver: Any, home: Path) -> None:
    """The same number is sent once, a second command is refused, and SIGTERM ends it."""
    flags = ["--service=shop", f"--prometheus.url={prometheus}", f"--webhook={receiver.url}", "--interval=100ms"]
    with subprocess.Popen([str(PERFLOOP), "scale", *flags], stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: receiver.received, "the first number")
            assert main([*flags, "--once"]) == ExitCode.BUSY
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == ExitCode.INTERRUPTED, log
    assert [body for body, _ in receiver.received] == [{"service": "shop", "replicas": 4}]
