"""The Docker Engine and Compose as commands, and their refusals as one sentence."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import yaml

from perfloop.stack.errors import DockerError
from perfloop_base.terminal import show_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_ANSWER_SECONDS = 30.0  # an engine that restarts several containers lets a question wait
_PULL_QUESTION_SECONDS = 8.0
_NOISE = (
    "deprecated",
    "encountered errors while bringing up the project",
    "found orphan containers",
    "level=warning",
    "the attribute `version` is obsolete",
)


def last_words(output: str, limit: int = 300) -> str:
    """Return the line of a command's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    meaningful = [line for line in lines if not any(noise in line.lower() for noise in _NOISE)]
    return (meaningful or lines or ["it said nothing"])[-1].rstrip(".")[:limit]


def project_name(name: str) -> str:
    """Return `name` as Compose writes it into its labels: both generations keep a-z, 0-9, - and _ of it."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-") or "perfloop"


class Engine:
    """One Docker Engine, and the Compose project of one directory on it.

    Attributes:
        directory: that of docker-compose.yml.
        env: the environment that Docker and Compose are run in.
        project: the project's name, as Compose itself makes it.
    """

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.project = project_name(env.get("COMPOSE_PROJECT_NAME") or directory.name)
        self.env = {**env, "COMPOSE_PROJECT_NAME": self.project}
        self._compose: tuple[str, ...] | None = None

    def run(self, *command: str, timeout: float | None = _ANSWER_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run one command to its end and return what it said.

        Raises:
            DockerError: when it cannot be run or does not end within `timeout` seconds.
        """
        try:
            return subprocess.run(  # noqa: S603 - no shell, and the words are ours
                command,
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise DockerError(f"{command[0]} is not on PATH: install Docker, or run `perfloop up --native`") from error
        except subprocess.TimeoutExpired as error:
            words = " ".join(command[:3])
            raise DockerError(f"`{words} …` did not end within {timeout:.0f} seconds") from error

    def require_answer(self) -> str:
        """Return the engine's version.

        Raises:
            DockerError: when no engine answers.
        """
        asked = self.run("docker", "version", "--format", "{{.Server.Version}}")
        if asked.returncode != 0:
            raise DockerError(f"no Docker Engine answers ({last_words(asked.stderr)}): start it, or run natively")
        return asked.stdout.strip()

    def compose_command(self) -> tuple[str, ...]:
        """Return `docker compose` where the client has it, else `docker-compose`.

        Raises:
            DockerError: when there is neither.
        """
        if self._compose is None:
            if self.run("docker", "compose", "version").returncode == 0:
                self._compose = ("docker", "compose")
            elif shutil.which("docker-compose", path=self.env.get("PATH")):
                self._compose = ("docker-compose",)
            else:
                raise DockerError("neither `docker compose` nor docker-compose is installed: install one of them")
        return self._compose

    def compose(self, *words: str, timeout: float | None = 60.0) -> str:
        """Run one Compose command and return what it printed.

        Raises:
            DockerError: with Compose's own last words, when it refuses.
        """
        done = self.run(*self.compose_command(), *words, timeout=timeout)
        if done.returncode != 0:
            raise DockerError(f"Compose could not {words[0]}: {last_words(done.stderr or done.stdout)}")
        return done.stdout

    @functools.cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services of docker-compose.yml as Compose reads them, variables put in."""
        return dict(yaml.safe_load(self.compose("config"))["services"])

    def containers(self) -> list[dict[str, Any]]:
        """Return what the engine knows of every container of this project, stopped ones too."""
        labels = (f"com.docker.compose.project={self.project}", "com.docker.compose.oneoff=False")
        filters = [f"--filter=label={label}" for label in labels]
        ids = self.run("docker", "ps", "--all", "--quiet", "--no-trunc", *filters).stdout.split()
        if not ids:
            return []
        found = self.run("docker", "inspect", *ids)
        return list(json.loads(found.stdout or "[]"))

    def has_image(self, image: str) -> bool:
        """Return whether the engine has this image."""
        return self.run("docker", "image", "inspect", "--format", "{{.Id}}", image).returncode == 0

    def _can_pull(self, image: str) -> bool:
        try:
            return self.run("docker", "manifest", "inspect", image, timeout=_PULL_QUESTION_SECONDS).returncode == 0
        except DockerError:
            return False

    def find_unobtainable(self, images: Iterable[str]) -> list[str]:
        """Return those images that are neither here nor offered by their registry; nothing is pulled."""
        missing = sorted({image for image in images if not self.has_image(image)})
        with ThreadPoolExecutor(max_workers=max(1, len(missing))) as pool:
            return [image for image, there in zip(missing, pool.map(self._can_pull, missing), strict=True) if not there]

    def stream(self, words: Sequence[str]) -> int:
        """Run one Compose command, show what it writes, and return its exit code; Ctrl-C ends it, not us."""
        command = (*self.compose_command(), *words)
        with subprocess.Popen(  # noqa: S603 - as in `run`
            command, cwd=self.directory, env=self.env, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
        ) as process:
            try:
                show_lines(process.stdout or ())
                return process.wait()
            except KeyboardInterrupt:
                process.terminate()
                return process.wait()
