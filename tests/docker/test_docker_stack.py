"""What `perfloop up --docker` says and leaves behind when something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.docker import DockerStack, read_status
from perfloop.stack.docker_engine import Engine, last_words, project_name
from perfloop.stack.errors import DockerError, PortsTakenError, StackError
from perfloop.stack.settings import read_settings
from perfloop_base.errors import ExitCode
from tests.docker.running import Running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


def _stack(directory: Path, env: dict[str, str]) -> DockerStack:
    return DockerStack(read_settings(directory, env), env)


_RUNNING = {
    "State": {"Status": "running", "StartedAt": "2026-11-23T14:36:32.123456789Z", "Health": {"Status": "healthy"}},
    "RestartCount": 2,
}


def test_a_healthy_container_is_a_healthy_row():
    """State, restarts and start time are what the engine says, the time in whole seconds."""
    row = read_status("redis", _RUNNING, "")
    assert (row.state, row.healthy, row.restarts, row.since) == ("running", True, 2, "2026-11-23T14:36:32Z")


@pytest.mark.parametrize(
    ("status", "health", "expected"),
    [
        ("created", "starting", "starting"),
        ("running", "starting", "starting"),
        ("running", "unhealthy", "running"),
        ("restarting", "unhealthy", "restarting"),
        ("exited", "unhealthy", "exited"),
        ("dead", "unhealthy", "exited"),
        ("paused", "healthy", "paused"),
    ],
)
def test_no_other_container_is_healthy(status: str, health: str, expected: str):
    """Only a container that runs and passed its check is healthy."""
    row = read_status(
        "redis", {"State": {"Status": status, "StartedAt": "0001-01-01", "Health": {"Status": health}}}, ""
    )
    assert (row.state, row.healthy, row.since) == (expected, False, "")


def test_a_component_without_a_container_is_absent():
    """No container, no health."""
    assert read_status("redis", None, "").state == "absent"


@pytest.mark.parametrize(
    ("given", "expected"), [("Perfloop", "perfloop"), ("my.clone_2", "myclone_2"), ("_-x", "x"), ("...", "perfloop")]
)
def test_the_project_is_named_as_compose_names_it(given: str, expected: str):
    """The directory's name in lower case, without what a label may not have."""
    assert project_name(given) == expected


def test_the_last_words_are_those_of_the_error():
    """Deprecation notes and warnings are not what went wrong."""
    said = "Error: no such image\ntime=… level=warning msg=x\nDEPRECATED: the legacy builder\n"
    assert last_words(said) == "Error: no such image"
    assert last_words("") == "it said nothing"


def test_another_home_is_another_project(checkout: Path, tmp_path: Path):
    """A stack with a PERFLOOP_HOME of its own never takes another stack's containers for its own."""
    plain = {"PATH": os.environ["PATH"]}
    default = _stack(checkout, plain)._engine.project
    assert default == project_name(checkout.name)
    other = _stack(checkout, {**plain, "PERFLOOP_HOME": str(tmp_path)})._engine.project
    assert other not in ("", default)
    assert _stack(checkout, {**plain, "COMPOSE_PROJECT_NAME": "mine"})._engine.project == "mine"


def test_a_configuration_without_the_programs_is_built_from_the_installed_packages(tmp_path: Path):
    """Outside of a checkout the image has a build directory in the home; secrets come from the current directory."""
    shipped, current = tmp_path / "shipped", tmp_path / "current"
    (current / "secrets").mkdir(parents=True)
    env = {"PATH": os.environ["PATH"]}
    stack = DockerStack(read_settings(shipped, env, current), env)
    engine = stack._engine
    assert engine.directory == shipped
    assert "PERFLOOP_BUILD_CONTEXT" not in engine.env, "Compose 1.29 refuses to run while the directory is not there"
    stack._prepare_build()
    assert engine.env["PERFLOOP_BUILD_CONTEXT"] == str(current / ".perfloop" / "build")
    assert (current / ".perfloop" / "build" / "Dockerfile").is_file()
    assert engine.env["PERFLOOP_SECRETS_DIR"] == str(current / "secrets")
    assert engine.project not in ("", "shipped"), "two directories that use the shipped files are two stacks"


def test_a_checkout_is_its_own_build_context(checkout: Path):
    """Nothing stands in the way of `docker compose up` in a clone."""
    env = {"PATH": os.environ["PATH"]}
    stack = _stack(checkout, env)
    engine = stack._engine
    stack._prepare_build()
    assert "PERFLOOP_BUILD_CONTEXT" not in engine.env
    assert "PERFLOOP_SECRETS_DIR" not in engine.env


@pytest.fixture
def no_engine(checkout: Path, tmp_path: Path) -> DockerStack:
    """A stack whose Docker client finds nobody listening."""
    if not DockerStack.exists():
        pytest.skip("no Docker client is on PATH")
    return _stack(checkout, {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"})


def test_without_an_engine_nothing_is_started(no_engine: DockerStack):
    """One sentence says that no engine answers and what to do; `status` and `down` callers learn that nothing runs."""
    with pytest.raises(DockerError, match=r"^no Docker Engine answers \(.+\): start it, or run natively$") as caught:
        no_engine.up()
    assert "\n" not in str(caught.value)
    assert not no_engine.running()
    availability = no_engine.availability()
    assert not availability.usable
    assert availability.reason == str(caught.value)


def test_without_a_client_the_sentence_names_it(checkout: Path, tmp_path: Path):
    """A PATH without `docker` is one sentence, not a traceback."""
    with pytest.raises(DockerError, match=r"^docker is not on PATH: install Docker"):
        Engine(checkout, {"PATH": str(tmp_path)}).require_answer()


@pytest.fixture
def fresh(clone: Path, images: dict[str, str], tmp_path: Path) -> Running:
    """A project of which nothing runs."""
    return Running(clone, images, tmp_path)


def _left_behind(running: Running) -> str:
    label = f"label=com.docker.compose.project={running.project}"
    kinds = (["ps", "--all"], ["network", "ls"], ["volume", "ls"])
    return "".join(
        subprocess.run(
            ["docker", *kind, "--quiet", "--filter", label], capture_output=True, text=True, check=True
        ).stdout
        for kind in kinds
    )


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_a_taken_port_is_named_with_its_holder(fresh: Running):
    """Port, holder and variable stand in the sentence, and nothing was started."""
    with (
        socket.create_server(("127.0.0.1", fresh.ports["prometheus"])),
        pytest.raises(PortsTakenError, match=rf"port {fresh.ports['prometheus']} for prometheus is taken by .*pid"),
    ):
        fresh.docker.up()
    assert _left_behind(fresh) == ""


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_an_image_that_cannot_be_pulled_is_named(clone: Path, images: dict[str, str], tmp_path: Path):
    """The sentence names the image, and nothing was started."""
    missing = {**images, "PERFLOOP_REDIS_IMAGE": "127.0.0.1:9/perfloop/none:1"}
    running = Running(clone, missing, tmp_path)
    assert "127.0.0.1:9/perfloop/none:1" in running.docker.availability().reason
    with pytest.raises(DockerError, match=r"^127\.0\.0\.1:9/perfloop/none:1 is not here and cannot be pulled"):
        running.docker.up()
    assert _left_behind(running) == ""


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
@pytest.mark.slow
def test_a_wrong_secret_stops_the_start_and_names_itself(fresh: Running):
    """A secret of the wrong form is one sentence with the file's name and not its value; all that started is gone."""
    secret = fresh.clone / "secrets" / "pagerduty_routing_key"
    secret.write_text("hunter2hunter2", encoding="utf-8")
    try:
        fresh.compose("build", "init")
        with pytest.raises(StackError, match=r"^secrets/pagerduty_routing_key holds 14 characters") as caught:
            fresh.docker.up()
    finally:
        secret.unlink()
    assert "hunter2" not in str(caught.value)
    containers = [container["Id"] for container in fresh.engine.containers()]
    fresh.docker.down(volumes=True)
    assert containers == []


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
@pytest.mark.slow
def test_two_alertmanagers_without_the_demo_and_down_again(fresh: Running):
    """No demo, and no target down for it; two Alertmanagers know each other; afterwards `down -v` leaves nothing."""
    fresh.compose("build", "init")
    clustered = _stack(fresh.clone, {**fresh.env, "PERFLOOP_ALERTMANAGERS": "2"})
    try:
        rows = {row.name for row in clustered.up(demo=False)}
        assert rows & {"demo", "loadgen", "postgres", "redis"} == set()
        for name in ("alertmanager", "alertmanager_2"):
            wait_for(lambda n=name: len(fresh.get(n, "/api/v2/status")["cluster"]["peers"]) == 2, "two peers", 60)
        known = fresh.get("prometheus", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
        assert len(known) == 2
        expected = {"node", "analyzer", "inbox", "prometheus", "alertmanager"}
        wait_for(lambda: expected <= {s["metric"]["job"] for s in fresh.query("up == 1")}, "every target to be up", 60)
        assert fresh.query('up{job=~"demo|loadgen"}') == []
        assert "alertmanager_2" not in {row.name for row in fresh.docker.up(demo=False)}, (
            "one again, when one is asked for"
        )
    finally:
        fresh.docker.down(volumes=True)
    assert _left_behind(fresh) == ""
    assert not fresh.docker.running()
    assert fresh.command("status").returncode == ExitCode.NOT_RUNNING
    assert fresh.command("down").returncode == ExitCode.OK
