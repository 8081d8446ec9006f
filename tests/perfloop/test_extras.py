"""The table of extras against the project file."""

from __future__ import annotations

import tomllib
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perfloop.extras import MODULES, find_missing
from perfloop.stack import app
from perfloop.stack.errors import ProgramError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_modules_of_every_extra_are_those_of_its_distributions(checkout: Path) -> None:
    """Each requirement of an extra is in the table under its import name, and nothing else is."""
    declared = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    by_distribution: dict[str, set[str]] = {}
    for module, distributions in packages_distributions().items():
        for name in distributions:
            if not module.startswith("_"):
                by_distribution.setdefault(canonicalize_name(name), set()).add(module)
    for extra, modules in MODULES.items():
        names = [canonicalize_name(Requirement(text).name) for text in declared[extra]]
        needed = [by_distribution[name] for name in names if name != "perfloop"]
        assert [names for names in needed if not names & modules] == [], extra
        assert sorted(module for module in modules if not any(module in names for names in needed)) == [], extra


def test_an_extra_is_missing_when_one_of_its_libraries_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra counts as installed when every library that it brings can be found."""
    monkeypatch.setitem(MODULES, "stack", frozenset({"json", "no_such_library"}))
    monkeypatch.setitem(MODULES, "demo", frozenset({"json"}))
    assert find_missing("demo", "stack") == ["stack"]


def test_up_names_the_extras_that_its_components_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component without its libraries is not started to be restarted for ever: `up` names the extra."""
    monkeypatch.setitem(MODULES, "demo", frozenset({"no_such_library"}))
    app._require_programs(demo=False)
    with pytest.raises(ProgramError, match=r"pip install 'perfloop\[demo\]'.*--no-demo"):
        app._require_programs(demo=True)
