"""The table of extras against the project file."""

from __future__ import annotations

import tomllib
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perfloop.extras import MODULES

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
        needed = [by_distribution[canonicalize_name(Requirement(text).name)] for text in declared[extra]]
        assert [names for names in needed if not names & modules] == [], extra
        assert sorted(module for module in modules if not any(module in names for names in needed)) == [], extra
