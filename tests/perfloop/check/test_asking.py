"""Answers that are none: each is one sentence in bounded time, and no check takes it for an answer."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from perfloop.check import asking
from perfloop.check.app import ask
from perfloop.check.findings import UnansweredError, Verdict
from perfloop.check.table import CHECKS
from tests.support.alerting_chain import free_port
from tests.support.readiness import answering, make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop.check.checklist import Check

PATHS = (
    *("/api/v1/query", "/api/v1/rules", "/api/v1/targets", "/api/v1/alertmanagers", "/api/v1/status/runtimeinfo"),
    *("/api/v1/health", "/api/v1/recommendations", "/api/v1/capacity", "/api/v2/status", "/api/messages", "/metrics"),
)
ANSWERS = {
    "no JSON": b"<html>Sign in</html>",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "an error": b'{"status": "error", "error": "x"}',
    "another form": b'{"data": {"result": [[1, 2]], "groups": {}, "activeTargets": [1]}, "status": 7}',
    "deep": b'{"data": ' * 5000,
    "no text": b"\xff\xfe\x00",
    "numbers as text": b'{"data": {"result": [{"metric": {"a": 1}, "value": [1]}]}}',
}
# Those that only read files and stores of this machine.
OFFLINE = {"baseline", "load-test", "throughput", "configuration", "real-channel", "backup", "secrets-backup"}
ONLINE = [one for one in CHECKS if one.name not in OFFLINE]
PROGRAMS = ("prometheus", "alertmanager", "analyzer", "inbox", "grafana")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("check", ONLINE, ids=lambda one: one.name)
def test_no_check_takes_another_answer_for_its_own(tmp_path: Path, check: Check, kind: str):
    """Every line is failed or unknown, has a sentence, and says what to do."""
    with answering(dict.fromkeys(PATHS, ANSWERS[kind])) as stranger:
        sources = make_sources(tmp_path, dict.fromkeys(PROGRAMS, stranger.url), grafana_url=stranger.url, patience=1.0)
        found = list(ask(check, sources))
    assert found
    for one in found:
        assert one.verdict is not Verdict.PASSED, one.words
        assert one.words
        assert one.advice is not None


@pytest.mark.parametrize("check", ONLINE, ids=lambda one: one.name)
def test_no_check_passes_where_nothing_listens(tmp_path: Path, check: Check):
    """Nor where there is no address at all."""
    nobody = f"http://127.0.0.1:{free_port()}"
    for urls in (dict.fromkeys(PROGRAMS, nobody), {}):
        for one in ask(check, make_sources(tmp_path, urls, patience=1.0)):
            assert one.verdict is not Verdict.PASSED, one.words
            assert one.advice is not None


@contextmanager
def raw(answer: bytes, every: float = 0.0) -> Iterator[str]:
    """Serve one answer byte for byte on a free port; with `every`, a byte in so many seconds."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                try:
                    for start in range(0, len(answer), 1 if every else len(answer)):
                        connection.sendall(answer[start : start + 1] if every else answer)
                        if every and stop.wait(every):
                            return
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join(5)


def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is that of the whole answer, its head included."""
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 1.0)
    began = time.monotonic()
    answer = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000
    words = r"Prometheus at http://127\.0\.0\.1:[0-9]+ did not answer within 1 s"
    with raw(answer, every=0.05) as url, pytest.raises(UnansweredError, match=words):
        asking.read_text("Prometheus", url, "/")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + b"{}", "did not answer: "),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n" + b"{}", "packed in a way that was not asked for"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "status 401"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "did not answer: "),
        (b"", "did not answer: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "did not answer: "),
    ],
)
def test_other_protocols_and_refusals(answer: bytes, words: str):
    """Each is a sentence with the program and its address."""
    with raw(answer or b" ") as url, pytest.raises(UnansweredError, match=words) as caught:
        asking.read_text("Prometheus", url, "/x")
    assert str(caught.value).startswith("Prometheus at http://127.0.0.1:")
    assert "\n" not in str(caught.value)


def test_what_a_proxy_packed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it was not asked for; but no answer fills the memory by being unpacked."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    with raw(head + gzip.compress(b"{}", mtime=0)) as url:
        assert asking.read_text("Prometheus", url, "/x") == "{}"
    monkeypatch.setattr(asking, "_LARGEST_ANSWER", 1000)
    packed = head + gzip.compress(b"x" * 2000, mtime=0)
    with raw(packed) as url, pytest.raises(UnansweredError, match="longer than 1000 bytes"):
        asking.read_text("Prometheus", url, "/x")


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer fills the memory."""
    monkeypatch.setattr(asking, "_LARGEST_ANSWER", 1000)
    with answering({"/": b"x" * 2000}) as program, pytest.raises(UnansweredError, match="longer than 1000 bytes"):
        asking.read_text("Prometheus", program.url, "/")


def test_no_address_is_a_sentence():
    """What no client can use."""
    for url in ("http://[::1", "http://\x00", "http://127.0.0.1:99999"):
        with pytest.raises(UnansweredError):
            asking.read_text("Prometheus", url, "/")


def test_a_program_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Twenty lines that ask it take as long as one."""
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connections are made, and nobody takes them
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sources = make_sources(tmp_path, dict.fromkeys(("prometheus", "alertmanager", "analyzer", "inbox"), url))
        began = time.monotonic()
        found = [one for check in ONLINE for one in ask(check, sources)]
    assert time.monotonic() - began < 15
    assert {one.verdict for one in found} == {Verdict.UNKNOWN}
