"""The generator: the same bytes each time, and the committed files are those bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import pytest


def test_committed_files_are_what_the_boards_say(generator: ModuleType, checkout: Path):
    """Nobody edits the JSON by hand, and nobody forgets to generate it."""
    assert generator.find_differences(checkout / "grafana", generator.build_all()) == []


def test_building_twice_gives_the_same_bytes(generator: ModuleType):
    """The output depends on the boards alone."""
    assert generator.build_all() == generator.build_all()


def test_writing_makes_the_folder_hold_exactly_the_boards(generator: ModuleType, tmp_path: Path):
    """A board that was removed leaves no file behind."""
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "gone.json").write_text("{}")
    assert generator.main(["--root", str(tmp_path)]) == 0
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")}
    assert written == generator.build_all().keys()


def test_a_changed_file_fails_the_check(generator: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """--check names each file that differs, is missing or is too many, and what to do."""
    generator.main(["--root", str(tmp_path)])
    (tmp_path / "dashboards" / "overview.json").write_text("{}")
    (tmp_path / "dashboards" / "other.json").write_text("{}")
    (tmp_path / "panels.json").unlink()
    capsys.readouterr()
    assert generator.main(["--root", str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "panels.json: missing; run `python -m perfloop_boards`",
        "dashboards/other.json: no board makes it; run `python -m perfloop_boards`",
        "dashboards/overview.json: not what its board says; run `python -m perfloop_boards`",
    ]


def test_an_untouched_folder_passes_the_check(generator: ModuleType, tmp_path: Path):
    """--check writes nothing and ends 0 when all is as generated."""
    generator.main(["--root", str(tmp_path)])
    assert generator.main(["--root", str(tmp_path), "--check"]) == 0


def test_both_sources_are_provisioned(checkout: Path):
    """Prometheus with exemplars and Alertmanager, under the uids that boards and links name; nothing to click."""
    file = checkout / "grafana" / "provisioning" / "datasources" / "perfloop.yml"
    sources = {one["uid"]: one for one in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]}
    assert {uid: one["type"] for uid, one in sources.items()} == {uid: uid for uid in ("prometheus", "alertmanager")}
    assert sources["prometheus"]["isDefault"]
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert sources["prometheus"]["jsonData"]["alertmanagerUid"] == "alertmanager"
