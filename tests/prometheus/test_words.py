"""The words of an alert, as Prometheus itself writes them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from perfloop_rules.panels import parse_panels

Place = tuple[Path, str, Path]

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


@pytest.fixture
def place(directory: Path, promtool: str, tmp_path: Path) -> Place:
    """Where the rules are, what checks them, and where its files go."""
    return directory, promtool, tmp_path


def panel(directory: Path, signal: str) -> str:
    """Return the address of a signal's panel for the service `shop`."""
    panels = parse_panels((directory.parent / "grafana" / "panels.json").read_text(), "panels.json")
    return panels[signal].replace("{{ $labels.service | urlquery }}", "shop")


def test_a_slow_database_says_where_how_bad_why_and_what_to_do(directory: Path, promtool: str, tmp_path: Path):
    """Value beside limit, the analyzer's cause, its best open recommendation, the panel and the runbook."""
    places = {"PROMETHEUS": str(directory), "DASHBOARD": panel(directory, "db_query_time_p95")}
    check(promtool, tmp_path, "slow_database.yml", **places)


P95 = 'service_db:db_client_operation_duration_seconds:p95_%s_rate1m{service="shop",db_system_name="sqlite"}'


@pytest.mark.parametrize(
    ("seconds", "bounds", "words"),
    [
        ("0.48037", {}, "480 ms"),
        ("0.97", {"low": "0.5", "high": "1"}, "500 ms to 1 s"),
        ("10", {"low": "10"}, "more than 10 s"),
        ("0.95", {"high": "1"}, "0 s to 1 s"),
    ],
)
def test_a_percentile_has_no_more_digits_than_its_bucket(
    place: Place, seconds: str, bounds: dict[str, str], words: str
):
    """Where the bucket is wide its bounds are written: what always takes 501 ms is not 970 ms."""
    directory, promtool, tmp_path = place
    given = json.dumps([{"series": P95 % bound, "values": f"{value}x60"} for bound, value in bounds.items()])
    places = {"PROMETHEUS": str(directory), "SECONDS": seconds, "BOUNDS": given[1:-1], "WORDS": words}
    check(promtool, tmp_path, "percentile.yml", **places, DASHBOARD=panel(directory, "db_query_time_p95"))


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
