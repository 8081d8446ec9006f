"""A running stack in containers: from the public images where they can be pulled, else from local stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.docker import DockerStack
from perfloop.stack.docker_engine import Engine
from perfloop.stack.errors import DockerError
from perfloop.stack.settings import read_settings
from tests.docker import standins
from tests.docker.running import IMAGE, Running

if TYPE_CHECKING:
    from collections.abc import Iterator


def _engine_refusal() -> str:
    if not DockerStack.exists():
        return "no Docker client is on PATH"
    engine = Engine(Path.cwd(), os.environ)
    try:
        engine.require_answer()
        engine.compose_command()
    except DockerError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """A Docker Engine that answers; without one, every test that asks for it is skipped and says so."""
    refusal = _engine_refusal()
    if refusal:
        pytest.skip(f"THE DOCKER TESTS DID NOT RUN: {refusal}")
    yield
    subprocess.run(
        ["docker", "rmi", "--no-prune", IMAGE], check=False, capture_output=True
    )  # its layers stay for the next run


@pytest.fixture(scope="session")
def images(engine: None, checkout: Path) -> dict[str, str]:
    """The variables that name the images: none where the public ones can be pulled, else stand-ins, without Grafana."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PERFLOOP_")}
    if DockerStack(read_settings(checkout, plain), plain).availability().usable:
        return {}
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("THE DOCKER TESTS DID NOT RUN: no image can be pulled, and the stand-ins need root and debootstrap")
    stand_ins = standins.ensure_all()
    # By a tag of its own, the layer with the libraries outlives the image of this run, and the next run finds it.
    base = f"PERFLOOP_PYTHON_IMAGE={stand_ins['PERFLOOP_PYTHON_IMAGE']}"
    keep = [
        "docker",
        "build",
        "--quiet",
        "--target=libraries",
        "--tag=perfloop-standin/libraries",
        f"--build-arg={base}",
    ]
    subprocess.run([*keep, str(checkout)], check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    left_out = {"PERFLOOP_GRAFANA_SCALE": "0", "PERFLOOP_GRAFANA_IMAGE": stand_ins["PERFLOOP_PYTHON_IMAGE"]}
    return stand_ins | left_out


@pytest.fixture(scope="session")
def clone(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed and the new files, in a directory that a test may write to."""
    target = tmp_path_factory.mktemp("clone") / "perfloop"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=checkout, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source = checkout / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return target


@pytest.fixture(scope="session")
def stack(clone: Path, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole stack, started by nothing but Compose's own `up`."""
    running = Running(clone, images, tmp_path_factory.mktemp("home"))
    try:
        running.compose("build", "init")
        running.start()
        yield running
    finally:
        running.compose("down", "--volumes", "--remove-orphans")
