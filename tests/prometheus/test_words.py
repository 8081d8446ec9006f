"""The words of an alert, as Prometheus itself writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from perfloop_rules.panels import parse_panels

WORDS = Path(__file__).parent / "words"


def check(promtool: str, tmp_path: Path, name: str, **places: str) -> None:
    """Run one promtool test file after its places are filled in."""
    text = (WORDS / name).read_text()
    for place, value in places.items():
        text = text.replace(f"${place}", value)
    file = tmp_path / "words_test.yml"
    file.write_text(text)
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def panel(directory: Path, signal: str) -> str:
    """Return the address of a signal's panel for the service `shop`."""
    panels = parse_panels((directory.parent / "grafana" / "panels.json").read_text(), "panels.json")
    return panels[signal].replace("{{ $labels.service | urlquery }}", "shop")


def test_a_slow_database_says_where_how_bad_why_and_what_to_do(directory: Path, promtool: str, tmp_path: Path):
    """Value beside limit, the analyzer's cause, its best open recommendation, the panel and the runbook."""
    places = {"PROMETHEUS": str(directory), "DASHBOARD": panel(directory, "db_query_time_p95")}
    check(promtool, tmp_path, "slow_database.yml", **places)


def test_failing_routes_are_listed_worst_first(directory: Path, promtool: str, tmp_path: Path):
    """With a separator between two routes, and none behind the last."""
    places = {"PROMETHEUS": str(directory), "DASHBOARD": panel(directory, "error_ratio")}
    check(promtool, tmp_path, "worst_routes.yml", **places)


def test_a_burning_budget_says_when_it_will_be_gone(directory: Path, promtool: str, tmp_path: Path):
    """How fast it burns, what is left, and in how many hours nothing will be."""
    check(promtool, tmp_path, "burning_budget.yml", PROMETHEUS=str(directory))


def test_a_limit_of_the_application_s_own_has_its_unit(directory: Path, promtool: str, tmp_path: Path):
    """What `set_threshold` set is in the message; one of eight values beyond it is more than one in twenty."""
    check(promtool, tmp_path, "own_limit.yml", PROMETHEUS=str(directory))
