"""The GitHub action and the GitLab template: they parse, and their scripts do what they say, against a local server."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml

from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy/github/perfloop-gate/action.yml").read_text())
WORKFLOW: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy/github/example-workflow.yml").read_text())
TEMPLATE: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy/gitlab/perfloop-gate.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
JOB: dict[str, Any] = TEMPLATE[".perfloop-gate"]

TEST = """
load_tests:
  quick:
    base_url: {url}
    duration_seconds: 0.3
    concurrent_users: 2
    generator_limits: {{cpu_ratio: 99, event_loop_lag_seconds: 99}}
    endpoints: [{{path: /}}]
"""


class Delayed(BaseHTTPRequestHandler):
    """Answers after a time that the test sets."""

    protocol_version = "HTTP/1.1"
    seconds: ClassVar[float] = 0.03

    def do_GET(self) -> None:
        """Wait, then say hello."""
        threading.Event().wait(self.seconds)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Slow(Delayed):
    """The same build, much slower."""

    seconds: ClassVar[float] = 0.5


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    """The addresses of both builds."""
    running = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Delayed, Slow)]
    threads = [threading.Thread(target=one.serve_forever, daemon=True) for one in running]
    for thread in threads:
        thread.start()
    yield tuple(f"http://127.0.0.1:{one.server_port}" for one in running)  # type: ignore[misc] # two of them
    for one in running:
        one.shutdown()
        one.server_close()


class Runner:
    """A directory that stands for a machine of the pipeline."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        (directory / "load_tests.yml").write_text(TEST.format(url=url))
        (directory / "bin").mkdir()
        # `python` is the interpreter that has the project.
        self.program("python", f'exec "{sys.executable}" "$@"')

    def program(self, name: str, script: str) -> None:
        """Put a program on the path."""
        path = self.directory / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, script: str, shell: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a script as the pipeline's runner does."""
        flags = ["--noprofile", "--norc", "-eo", "pipefail"] if shell == "bash" else ["-e"]
        files = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md", "RUNNER_TEMP": "temp"}
        known = {name: str(self.directory / file) for name, file in files.items()}
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        # A pipeline's machine has no settings of the project.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PERFLOOP_")}
        (self.directory / "script").write_text(script)
        return subprocess.run(
            [shell, *flags, str(self.directory / "script")],
            cwd=self.directory,
            env={**clean, "PATH": path, "PERFLOOP_HOME": str(self.directory / "home"), **known, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def action(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run the action's own step with inputs, the others at their defaults."""
        values = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
        values |= {"file": "load_tests.yml"} | {name.replace("_", "-"): value for name, value in inputs.items()}
        step = STEPS["Run"]
        env = {name: expression(text, values) for name, text in step["env"].items()}
        return self.run(step["run"], step["shell"], env)

    def job(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the GitLab job, its variables at their defaults."""
        env = {name: str(value) for name, value in JOB["variables"].items()} | {"PERFLOOP_INSTALL": ""} | variables
        return self.run("\n".join([*JOB["before_script"], *JOB["script"]]), "sh", env)

    def outputs(self) -> dict[str, str]:
        """What the step has set, the last value of each."""
        return dict(line.split("=", 1) for line in (self.directory / "output").read_text().splitlines())


def expression(text: str, inputs: dict[str, str]) -> str:
    """The value of `${{ inputs.name }}`."""
    found = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", text)
    assert found is not None, text
    return inputs[found[1]]


@pytest.fixture
def runner(tmp_path: Path, servers: tuple[str, str]) -> Runner:
    """A machine whose test is against the build as it was."""
    return Runner(tmp_path, servers[0])


def test_no_script_has_a_value_of_the_pull_request_in_it():
    """Inputs arrive by the environment: an expression inside a script would be run by the shell."""
    assert [name for name, step in STEPS.items() if "${{" in step["run"]] == []
    used = {
        match
        for step in STEPS.values()
        for text in step["env"].values()
        for match in re.findall(r"inputs\.([\w-]+)", text)
    }
    conditions = "".join(str(step.get("if", "")) for step in STEPS.values())
    assert used | set(re.findall(r"inputs\.([\w-]+)", conditions)) == set(ACTION["inputs"])


def test_the_example_uses_inputs_that_the_action_has():
    """Its last step is this action, with the inputs that mode `ab` needs."""
    step = WORKFLOW["jobs"]["gate"]["steps"][-1]
    assert re.fullmatch(r"[\w./-]+/deploy/github/perfloop-gate@\w+", step["uses"])
    assert set(step["with"]) <= set(ACTION["inputs"])
    assert {"mode", "file", "url", "url-b"} <= set(step["with"])


def test_the_action_saves_a_baseline_and_finds_a_regression(runner: Runner, servers: tuple[str, str]):
    """The same runner, first the main branch, then a slower build: exit code 1, a summary, and outputs."""
    saved = runner.action(mode="baseline")
    assert saved.returncode == 0, saved.stderr
    gated = runner.action(mode="gate", url=servers[1])
    assert gated.returncode == ExitCode.FAILED, gated.stderr
    assert "::error::load_tests.yml: a regression" in gated.stdout
    assert "### quick: worse: " in (runner.directory / "summary.md").read_text()
    assert runner.outputs()["code"] == "1"
    assert Path(runner.outputs()["report"]).read_text().startswith("### quick: worse: ")


def test_the_action_compares_two_builds_on_one_runner(runner: Runner, servers: tuple[str, str]):
    """Interleaved; by two addresses."""
    done = runner.action(mode="ab", url=servers[0], url_b=servers[1])
    assert done.returncode == ExitCode.FAILED, done.stderr
    report = json.loads((Path(runner.outputs()["report"]).parent / "report.json").read_text())
    assert report["answer"] == "worse"
    assert len(report["base_runs"]) == len(report["new_runs"]) == 8


@pytest.mark.parametrize(("cannot_tell", "code"), [("pass", 0), ("fail", 14)])
def test_what_is_undecided_passes_with_a_warning_or_fails(runner: Runner, cannot_tell: str, code: int):
    """The output has the code in both cases."""
    assert runner.action(mode="baseline", repeat="1").returncode == 0
    done = runner.action(mode="gate", repeat="2", cannot_tell=cannot_tell)
    assert done.returncode == code, done.stderr
    assert "::warning::load_tests.yml: cannot tell with so few runs" in done.stdout
    assert runner.outputs()["code"] == "14"


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"mode": "fast"}, "mode 'fast' is not one of gate, ab, baseline"),
        ({"mode": "gate"}, "there is no baseline main of this test"),
        ({"mode": "gate", "file": "$(touch planted).yml"}, "planted"),
    ],
)
def test_wrong_inputs_of_the_action_are_sentences(runner: Runner, inputs: dict[str, str], sentence: str):
    """Exit code 2, and nothing of an input is run."""
    done = runner.action(**inputs)
    assert done.returncode == ExitCode.USAGE
    assert sentence in done.stdout + done.stderr
    assert not (runner.directory / "planted").exists()


def test_the_comment_is_the_report(runner: Runner):
    """Written by GitHub's own program; without a report there is no comment."""
    runner.program("gh", 'printf "%s\\n" "$@" > called')
    step = STEPS["Comment"]
    (runner.directory / "report.md").write_text("### quick: same")
    env = {"NUMBER": "7", "REPORT": "report.md", "REPOSITORY": "me/shop"}
    assert runner.run(step["run"], step["shell"], env).returncode == 0
    called = (runner.directory / "called").read_text().split()
    assert called[:5] == ["pr", "comment", "7", "--repo", "me/shop"]
    assert called[-2:] == ["--body-file", "report.md"]
    (runner.directory / "called").unlink()
    assert runner.run(step["run"], step["shell"], env | {"REPORT": "none.md"}).returncode == 0
    assert not (runner.directory / "called").exists()


def test_the_gitlab_job_gates(runner: Runner, servers: tuple[str, str]):
    """A baseline, the same test against a slower build, and the artifacts that the job names."""
    saved = runner.job(PERFLOOP_MODE="baseline")
    assert saved.returncode == 0, saved.stderr
    gated = runner.job(PERFLOOP_URL=servers[1])
    assert gated.returncode == ExitCode.FAILED, gated.stderr
    artifacts = [*JOB["artifacts"]["paths"], JOB["artifacts"]["reports"]["junit"]]
    assert [name for name in artifacts if not (runner.directory / name).exists()] == []


def test_the_gitlab_job_compares_two_builds(runner: Runner, servers: tuple[str, str]):
    """Mode `ab`."""
    done = runner.job(PERFLOOP_MODE="ab", PERFLOOP_URL=servers[0], PERFLOOP_URL_B=servers[1])
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert runner.job(PERFLOOP_MODE="fast").returncode == ExitCode.USAGE
