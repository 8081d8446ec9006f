"""`perfloop report`: where a report is written, in which form, and what it refuses."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.report_cli import SpanConfig, choose_form, main
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def analyzer(status: int, body: str) -> Iterator[tuple[str, list[str]]]:
    """Something that answers as an analyzer might; what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.mark.parametrize(
    ("out", "form", "expected"),
    [
        (None, "", "md"),
        (None, "json", "json"),
        ("a.html", "", "html"),
        ("a.MD", "", "md"),
        ("a.json", "", "json"),
        ("a.txt", "", "html"),
        ("directory", "", "html"),
        ("a.html", "md", "md"),
    ],
)
def test_the_form_is_that_of_the_name(out: str | None, form: str, expected: str) -> None:
    """Unless another one is asked for; to the terminal it is Markdown."""
    assert choose_form(SpanConfig(out=Path(out) if out else None, form=form)) == expected


def test_an_unknown_form_is_refused() -> None:
    """One sentence with the value and what there is."""
    with pytest.raises(ConfigError, match="--format: 'pdf' is not one of html, md, json"):
        choose_form(SpanConfig(form="pdf"))


def test_a_report_is_written_into_a_directory_by_its_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The running analyzer is asked for the span and the form."""
    with analyzer(200, "<p>whole</p>") as (url, asked):
        arguments = ["alerts", f"--web.url={url}", f"--out={tmp_path}", "--from=2026-01-05", "--to=2026-01-12"]
        assert main([*arguments, "--time-zone=Europe/Berlin"]) == ExitCode.OK
    assert (tmp_path / "alerts.html").read_text() == "<p>whole</p>"
    assert capsys.readouterr().out == f"wrote {tmp_path}/alerts.html\n"
    assert asked == ["/api/v1/reports/make/alerts?start=2026-01-05&end=2026-01-12&time_zone=Europe%2FBerlin&form=html"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not half of a report."""
    (tmp_path / "alerts.html").write_text("last week's")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with analyzer(200, "<p>whole</p>") as (url, _):
        assert main(["alerts", f"--web.url={url}", f"--out={tmp_path}"]) == ExitCode.NOT_WRITTEN
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("alerts.html", "last week's")]


@pytest.mark.parametrize(
    ("status", "body", "code", "sentence"),
    [
        (
            503,
            json.dumps({"detail": "Prometheus answered nothing"}),
            ExitCode.FAILED,
            "made no report: Prom",
        ),
        (422, json.dumps({"detail": "--from is tomorrow"}), ExitCode.USAGE, "--from is tomorrow"),
        (404, "<html>", ExitCode.FAILED, "status 404, which is none of an analyzer that makes reports"),
        (200, "\x1b[31m", ExitCode.OK, ""),
    ],
)
def test_answers_of_the_analyzer(
    capsys: pytest.CaptureFixture[str], status: int, body: str, code: int, sentence: str
) -> None:
    """A refusal is one sentence; a terminal obeys nothing of a report."""
    with analyzer(status, body) as (url, _):
        assert main(["weekly", f"--web.url={url}"]) == code
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "\x1b" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["weekly", "--web.url=http://127.0.0.1:1"],
            ExitCode.NOT_RUNNING,
            "http://127.0.0.1:1 does not answer",
        ),
        (["weekly", "--time-zone=Mars/Olympus"], ExitCode.USAGE, "'Mars/Olympus' is not a time zone"),
        (["weekly", "--from=2999-01-01"], ExitCode.USAGE, "in the future: a report is about the past"),
        (["weekly", "--from=soon"], ExitCode.USAGE, "'soon' is not a moment"),
        (["monthly"], ExitCode.USAGE, "invalid choice: 'monthly'"),
    ],
)
def test_what_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    """Before anything is asked, where that is possible."""
    try:
        found = main(arguments)
    except SystemExit as stopped:
        found = int(str(stopped.code))
    assert found == code
    assert sentence in capsys.readouterr().err
