from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop.stack.build_context import assemble, is_complete

if TYPE_CHECKING:
    from pathlib import Path


def test_a_checkout_is_built_as_it_is(checkout: Path, tmp_path: Path) -> None:
    """A copy of the configuration alone is not."""
    assert is_complete(checkout)
    assert not is_complete(tmp_path)


def test_everything_that_the_dockerfile_copies_is_there(tmp_path: Path) -> None:
    """Each source of a COPY, and no configuration inside the base package."""
    target = assemble(tmp_path / "build")
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (target / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for line in copies for source in line.split()]
    assert len(sources) > 10
    assert [source for source in sources if not list(target.glob(source))] == []
    assert not (target / "base" / "perfloop_base" / "data").exists()
    assert not list(target.rglob("__pycache__"))


def test_the_same_packages_leave_it_untouched(tmp_path: Path) -> None:
    """A second call changes nothing, so that the engine finds its layers; a changed file is brought back."""
    target = assemble(tmp_path / "build")
    before = (target / "perfloop" / "__init__.py").stat().st_ino
    assert assemble(target) == target
    assert (target / "perfloop" / "__init__.py").stat().st_ino == before
    (target / "perfloop" / "__init__.py").write_text("")
    assemble(target)
    assert "perfloop" in (target / "perfloop" / "__init__.py").read_text()
