"""The committed rules, alerts and tests are what their sources give; any other configuration directory works alike."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_rules.cli import main
from perfloop_rules.generation import generate, stale, write

CHECKOUT = Path(__file__).resolve().parents[2]
TEST_FILES = sorted(path.name for path in (CHECKOUT / "prometheus" / "tests").glob("*_test.yml"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool and return its output."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def configuration(tmp_path: Path, directory: Path) -> Path:
    """A copy of the configuration, as `perfloop init` makes one."""
    ignored = shutil.ignore_patterns("perfloop_rules", "__pycache__")
    shutil.copytree(directory, tmp_path / "prometheus", ignore=ignored)
    (tmp_path / "grafana").mkdir()
    shutil.copy(directory.parent / "grafana" / "panels.json", tmp_path / "grafana" / "panels.json")
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    """Change a text that stands in a file."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_committed_files_are_what_the_sources_give(directory: Path):
    """A change of a threshold that was not generated is caught here."""
    generated = generate(directory.parent)
    assert {name: (directory / name).read_text() for name in generated} == generated


def test_nothing_lies_in_the_generated_directories_that_nothing_generates(directory: Path):
    """A pack that is gone leaves no alerts behind; RED, USE and two tests of rules are written by hand."""
    present = {
        path.relative_to(directory) for name in ("rules", "alerts", "tests") for path in (directory / name).glob("*")
    }
    by_hand = {"rules/red.yml", "rules/use.yml", "tests/recordings_test.yml", "tests/spellings_test.yml"}
    assert present - set(generate(directory.parent)) == {Path(name) for name in by_hand}


def test_promtool_takes_the_configuration_and_every_rule(directory: Path, promtool: str):
    """`promtool check config` reads the rules as well and reports nothing."""
    done = run(promtool, "check", "config", str(directory / "prometheus.yml"))
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", TEST_FILES)
def test_alerts_pass_their_promtool_tests(directory: Path, promtool: str, name: str):
    """Each alert is quiet at its limit, fires beyond it and resolves; each recording gives the number it should."""
    done = run(promtool, "test", "rules", str(directory / "tests" / name))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried(directory: Path, alert_rules: list[dict[str, Any]]):
    """No alert is without a promtool test of its name."""
    tested = "".join((directory / "tests" / name).read_text() for name in TEST_FILES)
    assert [rule["alert"] for rule in alert_rules if f'alertname="{rule["alert"]}"' not in tested] == []


def test_check_flag_finds_nothing(promtool: str, amtool: str):
    """`python -m perfloop_rules --check` is what `make check` calls."""
    done = run(sys.executable, "-m", "perfloop_rules", "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_changed_threshold_reaches_rules_alerts_and_their_tests(configuration: Path):
    """`write` returns what it changed; afterwards nothing is stale, and writing again changes nothing."""
    assert stale(configuration) == []
    replace(
        configuration / "prometheus" / "thresholds.yml", "warning: 1\n    critical: 2", "warning: 0.8\n    critical: 2"
    )
    assert stale(configuration) == [
        f"prometheus/{name} differs from what its sources give; run `perfloop generate`."
        for name in ("alerts/thresholds.yml", "tests/thresholds_test.yml")
    ]
    changed = write(configuration)
    names = {str(path.relative_to(configuration / "prometheus")) for path in changed}
    assert names == {"alerts/thresholds.yml", "tests/thresholds_test.yml"}
    assert "(limit 800 ms)" in (configuration / "prometheus" / "alerts" / "thresholds.yml").read_text()
    assert (stale(configuration), write(configuration)) == ([], [])


def test_a_rule_file_of_the_users_own_stays(configuration: Path):
    """Only what carries the generator's header goes when nothing generates it any more."""
    alerts = configuration / "prometheus" / "alerts"
    own, old = alerts / "mine.yml", alerts / "former.yml"
    own.write_text("groups: []\n")
    old.write_text(
        "# Written by `python -m perfloop_rules` from packs/former.yml: change that file, not this one.\ngroups: []\n"
    )
    assert stale(configuration) == ["prometheus/alerts/former.yml is no longer generated; run `perfloop generate`."]
    assert write(configuration) == [old]
    assert (own.read_text(), old.exists()) == ("groups: []\n", False)


def test_a_file_of_the_users_own_is_never_overwritten(configuration: Path, monkeypatch: pytest.MonkeyPatch):
    """One that has the name of a generated one is a problem, and nothing is written."""
    monkeypatch.chdir(configuration)
    own = configuration / "prometheus" / "alerts" / "database.yml"
    own.write_text("groups: []\n")
    sentence = (
        "prometheus/alerts/database.yml:1: `perfloop generate` writes a file of this name, and this one is not"
        " generated; give it another name."
    )
    with pytest.raises(ConfigError) as caught:
        write(configuration)
    assert caught.value.problems == (sentence,)
    assert own.read_text() == "groups: []\n"


def test_problems_of_all_files_are_reported_together_and_nothing_is_written(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
):
    """A mistake in thresholds.yml does not hide one in slos.yml or in a pack's file."""
    monkeypatch.chdir(configuration)
    prometheus = configuration / "prometheus"
    before = {path: path.read_text() for path in (prometheus / "alerts").iterdir()}
    replace(prometheus / "thresholds.yml", "warning: 0.01\n", "warning: low\n")
    replace(prometheus / "slos.yml", "objective: 0.999", "objective: 1")
    (configuration / "grafana" / "panels.json").write_text("[]")
    with pytest.raises(ConfigError) as caught:
        write(configuration)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "prometheus/thresholds.yml",
        "prometheus/slos.yml",
        "grafana/panels.json",
    ]
    assert {path: path.read_text() for path in (prometheus / "alerts").iterdir()} == before


@pytest.mark.parametrize(
    ("file", "old", "sentence"),
    [
        ("thresholds.yml", "1 - avg by", "signal cpu_used_ratio: expr is not PromQL: "),
        (
            "slos.yml",
            "sum by (service) (rate(http_server_request_duration_seconds_count[$window]))",
            "SLO availability: total",
        ),
        ("packs/database.yml", "sum by (service, pool)", "alert DatabasePoolExhausted: expr is not PromQL: "),
    ],
)
def test_an_expression_that_is_not_promql_is_found_before_anything_is_written(
    configuration: Path, file: str, old: str, sentence: str
):
    """Prometheus would refuse the whole file."""
    replace(configuration / "prometheus" / file, old, f"( {old}")
    with pytest.raises(ConfigError) as caught:
        generate(configuration)
    assert all(f"{file}:" in problem for problem in caught.value.problems)
    assert [problem for problem in caught.value.problems if sentence in problem]


def test_panels_may_be_given_before_they_are_written(configuration: Path):
    """One command generates dashboards and rules: the rules link to what is not on disk yet."""
    panels = '{"signals": {"cpu_used_ratio": {"uid": "elsewhere", "panel": 7}}}'
    generated = generate(configuration, panels)
    assert "/d/elsewhere?" in generated[Path("alerts/thresholds.yml")]


def test_without_panels_alerts_link_to_the_overview(configuration: Path):
    """A configuration without dashboards still has alerts."""
    (configuration / "grafana" / "panels.json").unlink()
    alerts = generate(configuration)[Path("alerts/thresholds.yml")]
    assert "dashboard: /d/overview?var-service=" in alerts


def test_the_command_reports_problems_with_exit_code_2(configuration: Path, capsys: pytest.CaptureFixture[str]):
    """One line each on stderr."""
    replace(configuration / "prometheus" / "slos.yml", "objective: 0.999", "objective: 1")
    assert main(["--directory", str(configuration)]) == 2
    assert re.search(r"/slos\.yml:\d+: SLO availability: objective has the value 1; ", capsys.readouterr().err)


def test_the_check_reports_a_stale_file_with_exit_code_1(configuration: Path, capsys: pytest.CaptureFixture[str]):
    """Also of a directory that is not the checkout."""
    shutil.copytree(
        CHECKOUT / "alertmanager", configuration / "alertmanager", ignore=shutil.ignore_patterns("perfloop_*")
    )
    replace(configuration / "prometheus" / "alerts" / "cache.yml", "severity: warning", "severity: info")
    assert main(["--directory", str(configuration), "--check"]) == 1
    assert "prometheus/alerts/cache.yml differs from what its sources give" in capsys.readouterr().err
