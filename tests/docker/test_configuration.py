"""A configuration of one's own in containers: the image from the installed packages, and what `up` applies."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop.stack.build_context import assemble
from perfloop.stack.initialization import write_copy
from perfloop.stack.settings import read_settings
from perfloop.stack.usage import find_differences
from perfloop_base.errors import ConfigError
from tests.docker.running import Running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("docker")]

# Everywhere within 15 seconds, as docs/stack.md says.
PROMISED_SECONDS = 15
SIGNAL = "api_response_time_p95"


@pytest.fixture(scope="module")
def copied(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack without the demo, from a copy that `perfloop init` wrote and an image of the installed packages."""
    directory = tmp_path_factory.mktemp("copy")
    write_copy(directory / "observability")
    running = Running(directory / "observability", images, directory / "home")
    base = images.get("PERFLOOP_PYTHON_IMAGE")
    arguments = ["--build-arg", f"PERFLOOP_PYTHON_IMAGE={base}"] if base else []
    tag = ["--tag", running.env["PERFLOOP_IMAGE"]]
    subprocess.run(["docker", "build", "--quiet", *tag, *arguments, str(assemble(directory / "build"))], check=True)
    try:
        running.docker.up(demo=False)
        yield running
    finally:
        running.compose("down", "--volumes", "--remove-orphans")


def _limits(running: Running) -> dict[str, Any]:
    """Return the warning limit of one signal as each component uses it."""
    exported = re.search(
        rf'perfloop_threshold{{signal="{SIGNAL}",severity="warning"}} (\S+)',
        httpx.get(running.url("exporter", "/metrics"), timeout=10).text,
    )
    groups = running.get("prometheus", "/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    alert = next(
        rule
        for rule in rules
        if rule.get("labels", {}).get("signal") == SIGNAL and rule["labels"]["severity"] == "warning"
    )
    objective = next(
        rule["query"].rpartition("+ ")[2]
        for rule in rules
        if rule["name"] == "service_slo:slo_objective:ratio" and rule["labels"]["slo"] == "availability"
    )
    used = re.search(r"p95_rate1m > (\S+)", alert["query"])
    return {
        "exporter": float(exported[1]) if exported else None,
        "alert": float(used[1]) if used else None,
        "recording rule": float(objective),
        "analyzer": running.get("analyzer", "/api/v1/thresholds")["signals"][SIGNAL]["warning"],
    }


def _starts(running: Running) -> dict[str, str]:
    return {row.name: row.since for row in running.docker.status()}


def test_up_applies_a_changed_configuration(copied: Running):
    """New limits, objectives and a rule file of one's own are used everywhere, and no container was restarted."""
    expected = {"exporter": 1.0, "alert": 1.0, "recording rule": 0.999, "analyzer": 1.0}
    wait_for(lambda: _limits(copied) == expected, "the first limits", PROMISED_SECONDS)
    before = _starts(copied)
    prometheus = copied.clone / "prometheus"
    text = (prometheus / "thresholds.yml").read_text()
    (prometheus / "thresholds.yml").write_text(
        text.replace("warning: 1\n    critical: 2\n", "warning: 0.8\n    critical: 2\n", 1)
    )
    text = (prometheus / "slos.yml").read_text()
    (prometheus / "slos.yml").write_text(text.replace("objective: 0.999", "objective: 0.995"))
    (prometheus / "alerts" / "mine.yml").write_text(
        "groups:\n  - name: mine\n    rules:\n      - {alert: Mine, expr: up == 0, labels: {severity: info}}\n"
    )
    settings = read_settings(copied.clone, copied.env)
    behind = {found.subject: found.problems for found in find_differences(settings, copied.docker)}
    assert any("alerts/mine.yml is not loaded" in problem for problem in behind["prometheus rules"])

    copied.docker.up(demo=False)
    expected = {"exporter": 0.8, "alert": 0.8, "recording rule": 0.995, "analyzer": 0.8}
    wait_for(lambda: _limits(copied) == expected, "the new limits", PROMISED_SECONDS)
    assert _starts(copied) == before
    assert [found for found in find_differences(settings, copied.docker) if found.problems] == []


def test_up_with_a_broken_file_changes_nothing(copied: Running):
    """One sentence with file and line; every component keeps what it has."""
    file = copied.clone / "prometheus" / "thresholds.yml"
    good, before = file.read_text(), _limits(copied)
    file.write_text(good.replace("signals:", "signals: ["))
    try:
        with pytest.raises(ConfigError, match=r"thresholds\.yml:\d+: not valid YAML"):
            copied.docker.up(demo=False)
        assert _limits(copied) == before
    finally:
        file.write_text(good)


def test_the_token_of_the_analyzer_is_where_programs_look(copied: Running):
    """`up` copies it into the home, for its owner alone."""
    token = read_settings(copied.clone, copied.env).home / "analyzer" / "token"
    assert token.stat().st_mode & 0o077 == 0
    assert token.read_text() == copied.compose("exec", "-T", "analyzer", "cat", "/run/perfloop/token").strip()
