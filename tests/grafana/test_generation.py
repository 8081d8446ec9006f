"""The generator: the same bytes each time, for any configuration directory, and nothing of the user's is removed."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from perfloop_base.errors import ConfigError
from perfloop_boards.__main__ import main
from perfloop_boards.generation import generate, stale, write


@pytest.fixture
def configuration(checkout: Path, tmp_path: Path) -> Path:
    """A configuration directory as `perfloop init` makes it, its dashboards written."""
    for name in ("prometheus", "grafana"):
        shutil.copytree(checkout / name, tmp_path / name, ignore=shutil.ignore_patterns("perfloop_*"))
    return tmp_path


def edit(file: Path, change: str, to: str) -> None:
    """Replace the one place of a file that reads so."""
    text = file.read_text(encoding="utf-8")
    assert text.count(change) == 1, change
    file.write_text(text.replace(change, to), encoding="utf-8")


def test_the_committed_files_are_what_the_boards_give(checkout: Path):
    """Nobody edits the JSON by hand, and nobody forgets to generate it."""
    assert stale(checkout) == []


def test_generating_twice_gives_the_same_bytes(checkout: Path):
    """The output depends on the boards and the configuration alone."""
    assert generate(checkout) == generate(checkout)


def test_generating_is_quick(checkout: Path):
    """It runs at each `perfloop up` after a change: two seconds of processor time are the limit, 0.2 s are usual."""
    start = time.process_time()
    generate(checkout)
    assert time.process_time() - start < 2


def test_writing_again_changes_nothing(configuration: Path):
    """What is up to date keeps its time of change, so that Grafana has nothing to read again."""
    before = {path: path.stat().st_mtime_ns for path in configuration.rglob("*.json")}
    assert write(configuration) == []
    assert {path: path.stat().st_mtime_ns for path in configuration.rglob("*.json")} == before


def test_a_changed_threshold_reaches_the_boards_that_show_it(configuration: Path):
    """`write` reports which dashboards it changed: those alone show the new limit."""
    edit(configuration / "prometheus" / "thresholds.yml", "warning: 0.7\n    critical: 0.95\n", "warning: 0.6\n")
    changed = {path.name for path in write(configuration)}
    assert changed == {"overview.json", "system.json", "fleet.json"}
    assert stale(configuration) == []


def test_a_dashboard_that_is_no_longer_made_is_removed(configuration: Path):
    """A board that panels.json lists from an earlier version leaves no file behind; one's own dashboard stays."""
    root = configuration / "grafana"
    listed = json.loads((root / "panels.json").read_text(encoding="utf-8"))
    listed["boards"].append("retired")
    (root / "panels.json").write_text(json.dumps(listed), encoding="utf-8")
    for name in ("retired", "of-my-own"):
        (root / "dashboards" / f"{name}.json").write_text("{}", encoding="utf-8")
    write(configuration)
    assert not (root / "dashboards" / "retired.json").exists()
    assert (root / "dashboards" / "of-my-own.json").read_text(encoding="utf-8") == "{}"


def test_a_damaged_list_of_panels_is_replaced(configuration: Path):
    """A file that is no JSON removes nothing and is replaced."""
    panels = configuration / "grafana" / "panels.json"
    expected = panels.read_text(encoding="utf-8")
    panels.write_text("[", encoding="utf-8")
    assert write(configuration) == [panels]
    assert panels.read_text(encoding="utf-8") == expected


def test_a_signal_with_one_limit_is_enough(configuration: Path):
    """Where only critical is given, the sentences say that number, and the panel turns red there and never orange."""
    thresholds = configuration / "prometheus" / "thresholds.yml"
    content = yaml.safe_load(thresholds.read_text(encoding="utf-8"))
    for entry in (*content["signals"], *content["limits"].values()):
        if "critical" in entry:
            entry.pop("warning", None)
        entry.pop("goal", None)
    thresholds.write_text(yaml.safe_dump(content), encoding="utf-8")
    boards = generate(configuration)
    panels = json.loads(boards[Path("dashboards/overview.json")])["panels"]
    (response,) = (panel for panel in panels if panel["title"] == "Response p95")
    steps = response["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [(None, "green"), (2, "red")]
    assert "2 s" in response["description"]


def test_every_missing_limit_is_reported(configuration: Path):
    """A dashboard without its limit would judge by nothing: each name that is missing is one problem."""
    edit(configuration / "prometheus" / "thresholds.yml", "  LoadHigh:", "  MyLoadHigh:")
    edit(configuration / "prometheus" / "slos.yml", "slo: first_token", "slo: my_first_token")
    with pytest.raises(ConfigError) as caught:
        generate(configuration)
    prometheus = configuration / "prometheus"
    assert set(caught.value.problems) == {
        f"{prometheus / 'thresholds.yml'}: the limit LoadHigh is missing; a dashboard shows it.",
        f"{prometheus / 'slos.yml'}: `within` of the SLO first_token is missing; a dashboard shows it.",
    }


def test_the_problems_of_both_files_are_reported_together(configuration: Path):
    """Who breaks two files reads of both at the first run."""
    prometheus = configuration / "prometheus"
    edit(prometheus / "thresholds.yml", "signal: error_ratio", "signl: error_ratio")
    (prometheus / "slos.yml").unlink()
    with pytest.raises(ConfigError) as caught:
        generate(configuration)
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {str(prometheus / "thresholds.yml"), str(prometheus / "slos.yml")}


def test_the_check_names_each_file(configuration: Path, capsys: pytest.CaptureFixture[str]):
    """--check reports each file that differs or is missing, and what to run; it writes nothing."""
    root = configuration / "grafana"
    (root / "dashboards" / "overview.json").write_text("{}", encoding="utf-8")
    (root / "dashboards" / "service.json").unlink()
    assert main(["--root", str(configuration), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "grafana/dashboards/service.json is missing. Run `python -m perfloop_boards`.",
        "grafana/dashboards/overview.json differs from its board and the thresholds. Run `python -m perfloop_boards`.",
    ]
    assert not (root / "dashboards" / "service.json").exists()


def test_the_command_writes_what_the_check_misses(configuration: Path, capsys: pytest.CaptureFixture[str]):
    """After writing, --check exits 0 and reports nothing."""
    (configuration / "grafana" / "dashboards" / "service.json").unlink()
    assert main(["--root", str(configuration)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(configuration / "grafana" / "dashboards" / "service.json"),
        f"1 generated files changed in {configuration / 'grafana'}",
    ]
    assert main(["--root", str(configuration), "--check"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_broken_threshold_is_a_sentence_with_its_line(configuration: Path, capsys: pytest.CaptureFixture[str]):
    """The command exits 2 with file and line, and no dashboard changes."""
    thresholds = configuration / "prometheus" / "thresholds.yml"
    edit(thresholds, "warning: 0.7\n    critical: 0.95\n", "warning: much\n    critical: 0.95\n")
    line = 1 + thresholds.read_text(encoding="utf-8").splitlines().index("    warning: much")
    assert main(["--root", str(configuration)]) == 2
    assert capsys.readouterr().err.startswith(f"perfloop_boards: {thresholds}:{line}: signal cpu_used_ratio: warning ")
    assert stale_after_repair(configuration, thresholds) == []


def stale_after_repair(configuration: Path, thresholds: Path) -> list[str]:
    """What differs once the number is put right: nothing, if the failed run changed nothing."""
    edit(thresholds, "warning: much\n", "warning: 0.7\n")
    return stale(configuration)


def test_both_sources_are_provisioned(checkout: Path):
    """Prometheus with exemplars and Alertmanager, under the uids that boards and links name; nothing to click."""
    file = checkout / "grafana" / "provisioning" / "datasources" / "perfloop.yml"
    sources = {one["uid"]: one for one in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]}
    assert {uid: one["type"] for uid, one in sources.items()} == {uid: uid for uid in ("prometheus", "alertmanager")}
    assert sources["prometheus"]["isDefault"]
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert sources["prometheus"]["jsonData"]["alertmanagerUid"] == "alertmanager"
