from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from perfloop.stack.alertmanager_config import AlertmanagerConfigError, install
from perfloop.stack.alertmanager_version import read_version
from perfloop.stack.errors import SettingsError
from perfloop.stack.initialization import write_copy
from perfloop.stack.settings import read_settings
from perfloop.stack.validation import check_sources, find_refused, require_sources


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """An editable copy of the configuration."""
    write_copy(tmp_path / "copy")
    return tmp_path / "copy"


def test_committed_files_are_valid(checkout: Path) -> None:
    """What is committed has no problem."""
    assert check_sources(read_settings(checkout, {}))[0] == []


def test_every_broken_file_is_named_with_its_line(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file that is not YAML, breaks a rule, or is missing, is one sentence with the place; all together."""
    monkeypatch.chdir(copy)
    (copy / "prometheus" / "thresholds.yml").write_text("signals:\n  - signal: a\n   warning: 1\n")
    (copy / "prometheus" / "targets" / "mine.yml").write_text("- targets: [a\n")
    (copy / "prometheus" / "alerts" / "mine.yml").write_text(
        "groups:\n  - name: mine\n    rules:\n      - alert: Mine\n        expr: sum(\n"
    )
    (copy / "alertmanager" / "alertmanager.yml").unlink()
    with pytest.raises(SettingsError) as caught:
        require_sources(read_settings(copy, {}))
    problems = caught.value.problems
    assert len(problems) == 4
    assert problems[0].startswith("prometheus/targets/mine.yml:2: not valid YAML: ")
    assert problems[1] == "alertmanager/alertmanager.yml: the file is missing, and the stack cannot run without it."
    assert problems[2].startswith("prometheus/thresholds.yml:3: not valid YAML: ")
    assert problems[3].startswith("prometheus/alerts/mine.yml:5: ")


def test_prices_may_be_missing_but_not_wrong(copy: Path) -> None:
    """Nobody must give prices; those that are given are checked before anything starts."""
    settings = read_settings(copy, {})
    assert check_sources(settings)[0] == []
    (copy / "prometheus" / "prices.yml").write_text("currency: EUR\nprices: {core_hour: 1 USD, cor_hour: 1}\n")
    assert sorted(check_sources(settings)[0]) == [
        (
            "prometheus/prices.yml:2: prices: 'core_hour' has the value '1 USD', and the currency is EUR; a file has "
            "one currency."
        ),
        "prometheus/prices.yml:2: prices: unknown field 'cor_hour'; did you mean 'core_hour'?",
    ]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            "groups:\n  - name: mine\n    rules:\n      - {alert: Mine, expr: '1', annotations: {a: '{{ b }}'}}\n",
            "prometheus/rules/mine.yml:4: ",
        ),
        ("groups:\n  - name: mine\n    rulez: []\n", "prometheus/rules/mine.yml:3: "),
    ],
)
def test_a_rule_that_prometheus_refuses_has_its_place(
    copy: Path, tmp_path: Path, promtool: str, rules: str, expected: str
) -> None:
    """What promtool says of a rule file, a template's mistake among it, begins with file and line."""
    effective = tmp_path / "etc" / "prometheus"
    (effective / "rules").mkdir(parents=True)
    (effective / "prometheus.yml").write_text("rule_files: [rules/*.yml]\n")
    (effective / "rules" / "mine.yml").write_text(rules)
    problems = list(find_refused(read_settings(copy, {}), effective.parent))
    assert [problem[: len(expected)] for problem in problems] == [expected]


def test_what_prometheus_would_refuse_is_found_before_it_starts(copy: Path, tmp_path: Path, promtool: str) -> None:
    """A configuration that is YAML but breaks Prometheus's rules is one sentence by promtool."""
    effective = tmp_path / "etc"
    (effective / "prometheus").mkdir(parents=True)
    (effective / "prometheus" / "prometheus.yml").write_text("scrape_configs: [{job_name: a}, {job_name: a}]\n")
    problems = list(find_refused(read_settings(copy, {}), effective))
    assert len(problems) == 1
    assert problems[0].startswith("promtool refuses prometheus/prometheus.yml: ")
    assert "multiple scrape configs with job name" in problems[0]


def test_an_alertmanager_too_old_for_a_secret_is_named(copy: Path, tmp_path: Path, amtool: str) -> None:
    """Before 0.26 an address cannot come from a file: one sentence names the secret; later versions take it."""
    (copy / "secrets" / "heartbeat_url").write_text("https://example.com/ping\n")
    etc = tmp_path / "home" / "etc" / "alertmanager"
    install(copy / "alertmanager", etc, copy / "secrets", {})
    checked = subprocess.run([amtool, "check-config", str(etc / "alertmanager.yml")], capture_output=True, check=False)
    version, sentence = read_version(Path(amtool)), ""
    try:
        install(copy / "alertmanager", etc, copy / "secrets", {}, version=version)
    except AlertmanagerConfigError as error:
        sentence = str(error)
    refused = f"secrets/heartbeat_url needs Alertmanager 0.26 or later: this one is {version}."
    assert sentence == (refused if checked.returncode else "")
