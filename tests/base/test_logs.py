from __future__ import annotations

import json
import logging
import re
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
