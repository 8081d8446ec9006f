"""The image by itself, in testcontainers: small walls around each program, no tool to build with, and a clean end."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.docker.running import IMAGE
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its own helper image cannot be pulled everywhere
testcontainers = pytest.importorskip("testcontainers.core.container")

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("docker")]


@pytest.fixture(scope="module")
def image(clone: Path, images: dict[str, str]) -> str:
    """Our image, built from the working tree."""
    base = images.get("PERFLOOP_PYTHON_IMAGE")
    arguments = ["--build-arg", f"PERFLOOP_PYTHON_IMAGE={base}"] if base else []
    subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, *arguments, str(clone)], check=True, timeout=900)
    return IMAGE


@pytest.fixture(scope="module")
def exporter(image: str) -> Iterator[str]:
    """The default command with no power at all; the address it answers on."""
    container = testcontainers.DockerContainer(image)
    container.ports["19100/tcp"] = ("127.0.0.1", None)  # `with_bind_ports` knows no address, and would take every one
    container.with_kwargs(read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"], mem_limit="128m")
    with container:
        address = f"http://127.0.0.1:{container.get_exposed_port(19100)}"
        wait_for(lambda: _answers(f"{address}/-/ready"), "the exporter's readiness", 30)
        yield address
    container.get_docker_client().client.close()  # else its socket is a warning at the end


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_image_runs_without_any_power(exporter: str):
    """Read-only, no capability, 128 MiB: the exporter answers with the machine's metrics."""
    metrics = httpx.get(f"{exporter}/metrics", timeout=10).text
    assert "\nnode_memory_MemTotal_bytes " in metrics
    assert "\nperfloop_threshold{" not in metrics or "signal=" in metrics


def _in_image(image: str, *command: str) -> str:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", image, *command], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_its_user_is_nobody_in_particular(image: str):
    """The image's own user is neither root nor anyone of the host's."""
    assert _in_image(image, "id", "-u") == "10001"


def test_it_has_no_pip_and_no_sources(image: str):
    """What only the build needs is not in the image."""
    found = "import importlib.util as u; print([n for n in ('pip', 'setuptools', 'pytest') if u.find_spec(n)])"
    assert _in_image(image, "/opt/perfloop/bin/python3", "-c", found) == "[]"
    assert _in_image(image, "ls", "/app") == "steady.yml"


def test_every_program_is_there(image: str):
    """Each of our programs says how it is used."""
    programs = (
        "perfloop_exporter",
        "perfloop_analyzer",
        "perfloop_loadgen",
        "perfloop_demo.service",
        "perfloop_inbox",
        "perfloop.stack.docker_init",
    )
    script = " && ".join(f"python3 -m {program} --help" for program in programs)
    assert _in_image(image, "bash", "-ec", script).lower().count("usage: ") >= len(programs)


def test_a_stop_is_clean_and_quick(image: str):
    """`docker stop` ends the first process by SIGTERM, with exit code 0, well within five seconds."""
    run = ["docker", "run", "--detach", "--network=none", image]
    name = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    try:
        logs = ["docker", "logs", name]
        wait_for(
            lambda: "listening" in subprocess.run(logs, capture_output=True, text=True, check=True).stderr, "start"
        )
        started = time.monotonic()
        subprocess.run(["docker", "stop", "--time=20", name], check=True, capture_output=True)
        assert time.monotonic() - started < 5
        code = ["docker", "inspect", "--format={{.State.ExitCode}}", name]
        assert subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip() == "0"
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)
