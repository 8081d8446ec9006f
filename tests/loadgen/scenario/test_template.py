"""Placeholders and what fills them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.addresses import ServiceUrl
from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.scenario.template import fill, fill_path, is_open

VALUES = {"id": 7, "name": "a/b c", "row.key": True, "none": None, "list": [1, "ü"], "größe": "L"}


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("${id}", 7),
        ("id ${id}, ${name}", "id 7, a/b c"),
        ({"n": ["${row.key}", {"${name}": 1}]}, {"n": [True, {"a/b c": 1}]}),
        ("plain", "plain"),
        (3, 3),
        (None, None),
        ("$id", "$id"),
        ("a ${row.key} ${none} ${list}", 'a true null [1, "ü"]'),
        ("${raw:name} ${raw:id}", "a/b c 7"),
        ("${raw:id}", 7),
        ("${größe}", "L"),
    ],
)
def test_values_are_filled_in(value: Any, filled: Any):
    """A text that is only a placeholder takes the value's own type; keys are filled too."""
    assert fill(value, VALUES) == filled
    assert is_open(value) is (value != filled)


BASE = ServiceUrl("http", "a.example", 80, "/api")


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("/items/${name}?n=${id}", "/items/a%2Fb%20c?n=7"),
        ("/items/${raw:name}?n=${raw:id}", "/items/a/b c?n=7"),
        ("/${größe}${raw:hash}", "/L/x"),
        ("/$${name}/${id}", "/${name}/7"),
        ("${path}", "/x?y=1"),
        ("${raw:path}&z=${name}", "/x?y=1&z=a/b c"),
        ("${url}", "/v1?a=http://b"),
    ],
)
def test_paths(path: str, filled: str):
    """What a value holds cannot change the path's structure, unless it is asked for as it is."""
    more = {"path": "/x?y=1", "url": "http://A.example/api/v1?a=http://b#c", "hash": "/x#y"}
    assert fill_path(path, {**VALUES, **more}, BASE) == filled


@pytest.mark.parametrize(
    "value", ["x", "", "//b.example/x", "http://b.example/api/x", "http://a.example/x", "ftp://a/x"]
)
def test_whole_paths_of_another_service(value: str):
    """Refused, unless they are paths of this one, whatever these begin with."""
    if value.startswith("/"):
        assert fill_path("${raw:v}", {"v": value}, BASE) == value
        return
    with pytest.raises(ConfigError):
        fill_path("${raw:v}", {"v": value}, BASE)


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_an_escaped_text_is_filled_to_itself(text: str):
    """Whatever it holds; with placeholders around it, too."""
    assert fill(escape(text), {}) == text
    assert fill(f"{escape(text)} ${{id}}", VALUES) == f"{text} 7"
    assert fill(escape(f"${{a}}{text}$${{b}}"), {}) == f"${{a}}{text}$${{b}}"
    assert not is_open(escape(text))


def test_an_unknown_name_is_named():
    """The placeholder, and the names that exist."""
    with pytest.raises(ConfigError) as caught:
        fill("${nobody}", VALUES)
    assert str(caught.value) == (
        "${nobody}: no data column or extracted value has this name; known: größe, id, list, name, none, row.key"
    )
