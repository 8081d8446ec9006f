"""`--scaling.file`: read with the other files, again when it changes, and refused with every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_analyzer.config import AnalysisConfig
from perfloop_analyzer.configuration import ConfigurationFiles, load_knowledge
from perfloop_base.errors import ConfigError
from perfloop_base.scaling import Scaling

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_file_the_defaults_hold() -> None:
    """Every service has the built-in bounds."""
    assert load_knowledge(AnalysisConfig()).scaling == Scaling()


def test_a_change_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """The last good file stays in use, and the problem is known."""
    path = tmp_path / "scaling.yml"
    path.write_text("services: [{service: shop, max_replicas: 4}]\n")
    files = ConfigurationFiles(AnalysisConfig(scaling_file=path))
    assert files.knowledge.scaling.of("shop").max_replicas == 4
    path.write_text("services: [{service: shop, max_replicas: 40}]\n")
    assert files.refresh()
    assert files.knowledge.scaling.of("shop").max_replicas == 40
    path.write_text("services: [{service: shop, max_replicas: many}]\n")
    assert not files.refresh()
    assert "max_replicas has the value 'many'" in files.problem
    assert files.knowledge.scaling.of("shop").max_replicas == 40


def test_its_problems_come_with_those_of_the_other_files(tmp_path: Path) -> None:
    """All at once."""
    (tmp_path / "scaling.yml").write_text("defaults: {tolerance: 2}\n")
    (tmp_path / "slos.yml").write_text("window: 1d\n")
    config = AnalysisConfig(scaling_file=tmp_path / "scaling.yml", slos_file=tmp_path / "slos.yml")
    with pytest.raises(ConfigError) as caught:
        load_knowledge(config)
    assert len(caught.value.problems) == 2
