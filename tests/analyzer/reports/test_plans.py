"""The schedule's file while the analyzer runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_analyzer.reports.plans import PlanFile
from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = 'reports:\n- {report: review, kind: weekly, schedule: "0 8 * * 1"}\n'


def names(plans: PlanFile) -> list[str]:
    """The reports that are scheduled now."""
    return [one.name for one in plans.current().reports]


def test_a_file_that_comes_later_is_read_then(tmp_path: Path) -> None:
    """Without one nothing is scheduled; nor when it is taken away."""
    path = tmp_path / "reports.yml"
    plans = PlanFile(path)
    assert names(plans) == []
    path.write_text(GOOD, encoding="utf-8")
    assert names(plans) == ["review"]
    path.unlink()
    assert names(plans) == []
    assert names(PlanFile(None)) == []


def test_a_file_that_becomes_invalid_changes_nothing(tmp_path: Path) -> None:
    """Until it is right again; at the start it is refused."""
    path = tmp_path / "reports.yml"
    path.write_text(GOOD, encoding="utf-8")
    plans = PlanFile(path)
    for broken in ("reports: [", GOOD.replace("0 8", "99 8"), "reports: 5"):
        path.write_text(broken, encoding="utf-8")
        assert names(plans) == ["review"]
        assert plans.problem.count("\n") == 0
        assert str(path.name) in plans.problem
    with pytest.raises(ConfigError):
        PlanFile(path)
    path.write_text(GOOD.replace("review", "another"), encoding="utf-8")
    assert names(plans) == ["another"]
    assert plans.problem == ""


def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    """A directory in its place, for example."""
    path = tmp_path / "reports.yml"
    path.write_text(GOOD, encoding="utf-8")
    plans = PlanFile(path)
    path.rename(tmp_path / "old")
    path.mkdir()
    assert names(plans) == ["review"]
    assert "reports.yml" in plans.problem
