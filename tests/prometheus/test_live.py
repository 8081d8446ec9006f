"""The series of a running Prometheus: asked for, recorded, and what the rules lack among them."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from perfloop_rules.cli import main
from perfloop_rules.errors import UnreachableError
from perfloop_rules.live import read_live
from perfloop_rules.series import read_known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIES = [
    {"__name__": "up", "job": "node", "instance": "a:1"},
    {"__name__": "up", "job": "node", "instance": "b:1", "host": "b"},
    {"__name__": "ALERTS", "alertname": "A"},
    {"__name__": "instance:node_memory_used:ratio", "instance": "a:1"},
    {"__name__": "pg_up", "instance": "p:1"},
]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as Prometheus's series API does, or with what the test put into `answer`."""

    answer = json.dumps({"status": "success", "data": SERIES}).encode()

    def do_GET(self) -> None:
        """Send the answer to any request."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def prometheus() -> Iterator[str]:
    """The address of a server that answers as Prometheus."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def configuration(tmp_path: Path, directory: Path) -> Path:
    """A copy of the rules and of the recorded series."""
    for name in ("rules", "alerts", "series"):
        shutil.copytree(directory / name, tmp_path / "prometheus" / name)
    return tmp_path


def test_names_come_with_the_labels_of_all_their_series(prometheus: str):
    """What rules record, and their alerts, are not series of a target."""
    assert read_live(prometheus, now=1000.0) == {
        "up": frozenset({"job", "instance", "host"}),
        "pg_up": frozenset({"instance"}),
    }


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"", b"[]", b"null", b"{}", b'{"data": 5}', b"[" * 100_000, b"\xff", b'{"data": null}'],
    ids=lambda answer: repr(answer[:12]),
)
def test_an_answer_that_is_not_prometheus_s_is_one_sentence(
    prometheus: str, monkeypatch: pytest.MonkeyPatch, answer: bytes
):
    """Something else may listen on the port."""
    monkeypatch.setattr(Handler, "answer", answer)
    with pytest.raises(UnreachableError, match=f"^Prometheus at {prometheus} does not answer as one: "):
        read_live(prometheus, now=1000.0)


@pytest.mark.parametrize("data", [["up"], [{"job": "x"}], [{"__name__": 5}], []])
def test_series_without_a_name_are_left_out(prometheus: str, monkeypatch: pytest.MonkeyPatch, data: list[object]):
    """What has no name is no series that a rule could select."""
    monkeypatch.setattr(Handler, "answer", json.dumps({"data": data}).encode())
    assert read_live(prometheus, now=1000.0) == {}


@pytest.mark.parametrize(
    "address", ["http://u:m4rked-S3cret@127.0.0.1:1", "http://u:m4rked-S3cret/x@h", "ftp://u:m4rked-S3cret@h"]
)
def test_an_address_with_a_password_is_shown_without_it(address: str, capsys: pytest.CaptureFixture[str]):
    """Nor is there a traceback where the password reads as a port."""
    assert main(["--live", address]) in {2, 12}
    shown = capsys.readouterr().err
    assert "S3cret" not in shown
    assert len(shown.splitlines()) == 1


def test_series_are_recorded_without_those_of_foreign_exporters(prometheus: str, configuration: Path):
    """`--record URL` writes series/stack.txt; what other exporters publish has files of its own."""
    assert main(["--directory", str(configuration), "--record", prometheus]) == 0
    own, foreign = read_known(configuration / "prometheus")
    assert own == {"up": frozenset({"job", "instance", "host"})}
    assert "pg_up" in foreign


def test_rules_without_their_series_fail_the_live_check(
    prometheus: str, configuration: Path, capsys: pytest.CaptureFixture[str]
):
    """`--live URL` names each rule that would select nothing."""
    assert main(["--directory", str(configuration), "--live", prometheus]) == 1
    assert "no series is named node_cpu_seconds_total; the rule would select nothing." in capsys.readouterr().err


def test_a_prometheus_that_does_not_answer_is_exit_code_12(free_port: int, capsys: pytest.CaptureFixture[str]):
    """The source is not available: the check neither passed nor failed."""
    assert main(["--live", f"http://127.0.0.1:{free_port}"]) == 12
    assert f"Prometheus at http://127.0.0.1:{free_port} does not answer as one" in capsys.readouterr().err
