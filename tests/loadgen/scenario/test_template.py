"""Placeholders and what fills them."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.scenario.template import fill, fill_path, is_open

VALUES = {"id": 7, "name": "a/b c", "row.key": True}


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
    ],
)
def test_values_are_filled_in(value: Any, filled: Any):
    """A text that is only a placeholder takes the value's own type; keys are filled too."""
    assert fill(value, VALUES) == filled
    assert is_open(value) is (value != filled)


def test_a_path_is_quoted():
    """What a value holds cannot change the path's structure."""
    assert fill_path("/items/${name}?n=${id}", VALUES) == "/items/a%2Fb%20c?n=7"


def test_an_unknown_name_is_named():
    """The placeholder, and the names that exist."""
    with pytest.raises(ConfigError) as caught:
        fill("${nobody}", VALUES)
    assert str(caught.value) == ("${nobody}: no data column or extracted value has this name; known: id, name, row.key")
