from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_base import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _keep_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_logfmt(capsys: pytest.CaptureFixture[str]):
    """An event is one line of name=value, with values quoted where they need it."""
    logs.set_up("info", "logfmt")
    logging.getLogger("perfloop_test").warning('two words and a "quote"', extra={"collector": "cpu", "empty": ""})
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=warn "
        r'msg="two words and a \\"quote\\"" collector=cpu empty=""\n',
        line,
    )


def test_json(capsys: pytest.CaptureFixture[str]):
    """The same event as JSON, with the traceback in a field of its own."""
    logs.set_up("info", "json")
    try:
        {}["x"]
    except KeyError:
        logging.getLogger("perfloop_test").exception("failed", extra={"path": {"any": "object"}})
    event = json.loads(capsys.readouterr().err)
    assert (event["level"], event["msg"], event["path"]) == ("error", "failed", {"any": "object"})
    assert event["trace"].endswith("KeyError: 'x'")


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_levels(level: str, lines: int, capsys: pytest.CaptureFixture[str]):
    """Each level logs itself and what is more urgent."""
    logs.set_up(level)
    log = logging.getLogger("perfloop_test")
    for method in (log.debug, log.info, log.warning, log.error):
        method("event")
    assert lines == len(capsys.readouterr().err.splitlines())


def test_chatty_libraries_log_warnings_only(capsys: pytest.CaptureFixture[str]):
    """A line per HTTP request of a library appears at level debug alone."""
    logs.set_up("info")
    logging.getLogger("httpx").info("HTTP Request: GET")
    assert capsys.readouterr().err == ""
    logs.set_up("debug")
    logging.getLogger("httpx").info("HTTP Request: GET")
    assert "HTTP Request" in capsys.readouterr().err


HOSTILE = "one\ntime=now level=error\r\x1b[31m\u202e\u2028\ud800 http://admin:m4rked-S3cret@host/?api_key=m4rked-S3cret"


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_a_line_stays_one_line_without_secrets(log_format: str, capsys: pytest.CaptureFixture[str]):
    """Whatever a message, a field, its name or an exception holds: one printable line, and no secret in it."""
    logs.set_up("info", log_format)
    log = logging.getLogger("perfloop_test")
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301 # its traceback is what the test is about
    except ValueError:
        log.exception(
            "failed: %s",
            HOSTILE,
            extra={"label": HOSTILE, HOSTILE: 1, "token": "m4rked-S3cret", "headers": {"Cookie": ["m4rked-S3cret"]}},
        )
    shown = capsys.readouterr().err
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()
    assert "S3cret" not in shown
    if log_format == "json":
        event = json.loads(shown)
        assert event["label"].replace("\n", "").isprintable()
        assert event["token"] == "<secret>"
        assert event["trace"].count("\n") > 2


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_arguments_that_do_not_fit_lose_no_event(log_format: str, capsys: pytest.CaptureFixture[str]):
    """A mistake in a call is shown with what it was about, in one line instead of a traceback of the logging module."""
    logs.set_up("info", log_format)
    logging.getLogger("perfloop_test").warning("%d of %s", "one")  # noqa: PLE1206 # the mistake
    shown = capsys.readouterr().err
    assert "%d of %s ('one',)" in shown
    assert len(shown.splitlines()) == 1


def test_uncaught_exceptions_show_no_secret():
    """The traceback that ends a program or one of its threads is redacted; it keeps its lines."""
    code = (
        "import threading\n"
        "from perfloop_base.cli import guard\n"
        "def fail(): raise RuntimeError('http://u:m4rked-S3cret@host \\x1b[31m')\n"
        "def command():\n"
        "    thread = threading.Thread(target=fail, name='worker'); thread.start(); thread.join(); fail()\n"
        "guard('program', command)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("RuntimeError: http://<secret>@host \\x1b[31m\n") == 2
    assert "Exception in thread worker:\n" in done.stderr
    assert "S3cret" not in done.stderr
