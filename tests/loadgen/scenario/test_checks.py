"""Values of an answer, by path, header and pattern."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_loadgen.scenario.checks import MISSING, build_judge, find

HEAD = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nX-Empty:\r\n'
BODY = b'{"items": [{"id": 7}, {"id": null}], "name": "shop", "a.b": 1}'


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("json:items[0].id", 7),
        ("json:items[1].id", None),
        ("json:name", "shop"),
        ("json:items[2].id", MISSING),
        ("json:name[0]", MISSING),
        ("json:name.length", MISSING),
        ("header:etag", '"x"'),
        ("header:X-Empty", ""),
        ("header:X-None", MISSING),
        ('regex:"id": ([0-9]+)', "7"),
        ("regex:sh.p", "shop"),
        ("regex:none", MISSING),
    ],
)
def test_a_source_names_a_value(source: str, value: Any):
    """A null is a value; what is not there is missing; a text is no list."""
    assert find(source, HEAD, BODY) == value


def test_a_body_that_is_not_json_holds_no_json():
    """An error page instead of JSON."""
    assert find("json:a", HEAD, b"<html>") is MISSING


def test_without_checks_nothing_is_judged():
    """No function, so that the hot path has none to call."""
    assert build_judge([]) is None
