"""The workflows and commit hooks call what the project has: its scripts, its tools and its make targets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[1]
WORKFLOWS = sorted(CHECKOUT.glob(".github/workflows/*.yml"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    """Every step of every job."""
    return [step for job in yaml.safe_load(workflow.read_text())["jobs"].values() for step in job["steps"]]


def test_ci_and_release_run_the_same_script() -> None:
    """Both workflows run `.ci/run`, which runs the checks and the tests."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]
    for workflow in WORKFLOWS:
        assert any(step.get("run") == ".ci/run" for step in steps(workflow)), workflow.name
    script = (CHECKOUT / ".ci" / "run").read_text()
    assert re.findall(r"^make (\w+)$", script, flags=re.MULTILINE) == ["check", "test"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_more_rights_than_it_needs(workflow: Path) -> None:
    """By default a job can only read the repository."""
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("tool", ["prometheus", "alertmanager"])
def test_ci_finds_the_shipped_images(tool: str) -> None:
    """The pattern by which CI takes the tools out of the shipped images finds one image, with a digest."""
    compose = (CHECKOUT / "docker-compose.yml").read_text()
    found = re.findall(rf"prom/{tool}:[^}}]*", compose)
    assert len(set(found)) == 1
    assert re.fullmatch(rf"prom/{tool}:v[\d.]+@sha256:[0-9a-f]{{64}}", found[0])


def test_hooks_call_tools_of_the_checks() -> None:
    """Each commit hook runs a command that `make check` runs too, from the project's own environment."""
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    makefile = (CHECKOUT / "Makefile").read_text()
    for hook in hooks:
        program, *arguments = hook["entry"].split()
        assert program.startswith(".venv/bin/")
        command = " ".join([f"$(BIN)/{program.removeprefix('.venv/bin/')}", *arguments])
        assert command.removesuffix(" --fix") in makefile, hook["id"]
