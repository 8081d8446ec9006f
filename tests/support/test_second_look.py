"""The suite's second look: what failed in a group is found again by the name that it has alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.suite import name_alone

if TYPE_CHECKING:
    from pathlib import Path


def test_failures_are_named_without_their_group(tmp_path: Path):
    """Under the name that xdist gives them, pytest finds none, and forgets the failure."""
    file = tmp_path / "lastfailed"
    names = [
        "tests/a.py::test_one@live-stack",
        "tests/b.py::test_two[x@y]",
        "tests/c.py::test_three[x@y]@faults",
        "d.py",
    ]
    file.write_text(json.dumps(dict.fromkeys(names, True)))
    name_alone(file)
    assert list(json.loads(file.read_text())) == [
        "tests/a.py::test_one",
        "tests/b.py::test_two[x@y]",
        "tests/c.py::test_three[x@y]",
        "d.py",
    ]


def test_a_process_that_could_not_collect_is_no_test(tmp_path: Path):
    """Nothing is run again for it: pytest would find no such test, and run all of them one at a time."""
    file = tmp_path / "lastfailed"
    file.write_text(json.dumps({"gw1": True, "gw2": True}))
    assert not name_alone(file)
    file.write_text(json.dumps({"gw1": True, "tests/a.py::test_one": True}))
    assert name_alone(file)
    assert list(json.loads(file.read_text())) == ["tests/a.py::test_one"]
