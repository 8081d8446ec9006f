"""The words of an alert, as Prometheus itself writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from perfloop_rules.pages import read_pages

WORDS = Path(__file__).parent / "words"


def check(promtool: str, folder: Path, name: str, **places: str) -> None:
    """Run one promtool test file after its places are filled in."""
    text = (WORDS / name).read_text()
    for place, value in places.items():
        text = text.replace(f"${place}", value)
    file = folder / "words_test.yml"
    file.write_text(text)
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_slow_database_says_where_how_bad_why_and_what_to_do(room: Path, promtool: str, tmp_path: Path):
    """Value beside limit, the analyzer's cause, its best open recommendation, the panel and the runbook."""
    page = read_pages(room.parent / "grafana" / "panels.json")["db_query_time_p95"]
    dashboard = page.replace("{{ $labels.service | urlquery }}", "shop")
    check(promtool, tmp_path, "slow_database.yml", ROOM=str(room), DASHBOARD=dashboard)


def test_a_burning_budget_says_when_it_will_be_gone(room: Path, promtool: str, tmp_path: Path):
    """How fast it burns, what is left, and in how many hours nothing will be."""
    check(promtool, tmp_path, "burning_budget.yml", ROOM=str(room))


def test_a_limit_of_the_application_s_own_is_said_in_its_unit(room: Path, promtool: str, tmp_path: Path):
    """What `set_threshold` set is in the message; one of eight values beyond it is more than one in twenty."""
    check(promtool, tmp_path, "own_limit.yml", ROOM=str(room))
