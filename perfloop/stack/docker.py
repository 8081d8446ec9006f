"""The stack in containers: `docker-compose.yml` started, watched and stopped."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop.stack import ports, programs
from perfloop.stack.docker_engine import Engine, last_words
from perfloop.stack.errors import DockerError, StackError
from perfloop.stack.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

DEMO_PARTS = ("demo", "loadgen", "postgres", "redis")
SECOND = "alertmanager_2"
_PUBLISHED = ("exporter", "analyzer", "loadgen", "inbox", "demo", "prometheus", "alertmanager", SECOND, "grafana")
COMPOSE_FILES = "docker-compose.yml:docker-compose.ha.yml"
PARTS = (*_PUBLISHED, "postgres", "redis")
IMAGE_VARIABLE = "PERFLOOP_IMAGE"
PYTHON_VARIABLE = "PERFLOOP_PYTHON_IMAGE"
_BUILD_SECONDS = 1200.0
_DOWN_SECONDS = 120.0
_POLL_SECONDS = 0.5
_GIVE_UP_RESTARTS = 4  # a part that ends that often on its way up will not come
_STATES = {"created": "starting", "running": "running", "restarting": "restarting"}


@dataclass(frozen=True, slots=True)
class Part:
    """One row of `perfloop status`."""

    name: str
    state: str
    healthy: bool
    url: str
    restarts: int
    since: str


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether Docker can be taken, and the line that says why or why not."""

    usable: bool
    reason: str


def read_part(name: str, container: Mapping[str, Any] | None, url: str) -> Part:
    """Return the row of one part from what `docker inspect` says of its container."""
    if container is None:
        return Part(name, "absent", healthy=False, url=url, restarts=0, since="")
    state = container["State"]
    health = state.get("Health", {}).get("Status", "none")
    shown = _STATES.get(state["Status"], "exited")
    if shown == "running" and health == "starting":
        shown = "starting"
    started = str(state.get("StartedAt", ""))
    return Part(
        name,
        shown,
        healthy=shown == "running" and health == "healthy",
        url=url,
        restarts=int(container.get("RestartCount", 0)),
        since="" if started.startswith("0001") else started[:19] + "Z",
    )


def _shares_mounts(mountinfo: str) -> bool:
    """Tell whether mounts made later below / reach a container: `rslave` is refused where / is private."""
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[4] == "/":  # noqa: PLR2004 - proc(5): the fifth field is the mount point
            return any(field.startswith(("shared:", "master:")) for field in fields[6:])
    return False


def _service(container: Mapping[str, Any]) -> str:
    return str(container["Config"]["Labels"].get("com.docker.compose.service", ""))


class DockerStack:
    """The Compose project of one checkout.

    Args:
        checkout: the folder of docker-compose.yml.
        env: the environment with what `.env` adds; the process's own when it is left out.
    """

    def __init__(self, checkout: Path = programs.CHECKOUT, env: Mapping[str, str] | None = None) -> None:
        environment = dict(os.environ if env is None else env)
        self._settings = read_settings(checkout, environment)
        if self._settings.home != checkout / ".perfloop":  # another home is another stack: it shares no container
            digest = hashlib.sha256(str(self._settings.home).encode()).hexdigest()
            environment.setdefault("COMPOSE_PROJECT_NAME", f"perfloop-{digest[:8]}")
        if self._settings.alertmanagers > 1:
            environment.setdefault("COMPOSE_FILE", COMPOSE_FILES)
        mountinfo = Path("/proc/self/mountinfo")
        if mountinfo.exists() and _shares_mounts(mountinfo.read_text(encoding="utf-8")):
            environment.setdefault("PERFLOOP_ROOT_PROPAGATION", ",rslave")
        self._engine = Engine(checkout, environment)

    @staticmethod
    def exists() -> bool:
        """Tell whether a Docker client is on PATH at all."""
        return shutil.which("docker") is not None

    def availability(self) -> Availability:
        """Tell whether the stack can run in containers here; nothing is pulled or started."""
        if not self.exists():
            return Availability(usable=False, reason="no Docker client is on PATH")
        try:
            version = self._engine.require_answer()
            compose = " ".join(self._engine.compose_command())
            missing = self._engine.find_unobtainable(self._needed_images())
        except DockerError as error:
            return Availability(usable=False, reason=str(error))
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            return Availability(
                usable=False, reason=f"{', '.join(missing)} {verb} not here and cannot be pulled from a registry"
            )
        return Availability(usable=True, reason=f"Docker Engine {version} answers ({compose})")

    def _needed_images(self, leave_out: Collection[str] = ()) -> list[str]:
        """Return the images that must be here or be pulled: ours is built, so its base stands for it."""
        services = self._engine.services
        own, base = services["init"]["image"], services["init"]["build"]["args"][PYTHON_VARIABLE]
        images = {str(service["image"]) for name, service in services.items() if name not in leave_out}
        if self._engine.has_image(own):
            return sorted(images)
        return sorted((images - {own}) | {own if self._engine.env.get(IMAGE_VARIABLE) else str(base)})

    def running(self) -> bool:
        """Tell whether the engine has a container of this project; no engine, no container."""
        try:
            return any(_service(container) != "init" for container in self._engine.containers())
        except DockerError:
            return False

    def status(self) -> list[Part]:
        """Return a row for every part that this project has a container for, in the order of the pages."""
        by_name = {_service(container): container for container in self._engine.containers()}
        return [read_part(name, by_name[name], self._url(name)) for name in PARTS if name in by_name]

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._settings.ports[name]}" if name in _PUBLISHED else ""

    def up(self, *, demo: bool = True, grafana: bool = True, timeout: float = 300) -> list[Part]:
        """Start everything and return once all is healthy.

        Args:
            demo: whether the demo service, its load and its databases are among the parts.
            grafana: whether Grafana is; it is not either where PERFLOOP_GRAFANA_SCALE is 0.
            timeout: seconds to wait for health once the images are there.

        Raises:
            StackError: in one sentence; what this call started is then stopped again.
        """
        self._engine.require_answer()
        before = {_service(container) for container in self._engine.containers()} - {"init"}
        wanted = self._choose(demo=demo, grafana=grafana)
        self._require_ports(set(wanted) - before)
        self._get_images(wanted)
        try:
            self._start(wanted, timeout)
        except (StackError, KeyboardInterrupt):
            if not before:
                self.down()
            raise
        for name in before & {"alertmanager", SECOND} & set(wanted):  # what `init` wrote may be new
            # By its own shell: after a signal from `docker kill`, the engine no longer restarts a container.
            self._engine.compose("exec", "-T", name, "sh", "-c", "kill -HUP 1")
        return self.status()

    def _choose(self, *, demo: bool, grafana: bool) -> list[str]:
        grafana = grafana and self._engine.env.get("PERFLOOP_GRAFANA_SCALE", "1") != "0"
        left_out = (() if demo else DEMO_PARTS) + (() if grafana else ("grafana",))
        left_out += () if self._settings.alertmanagers > 1 else (SECOND,)
        return [name for name in PARTS if name not in left_out]

    def _require_ports(self, names: set[str]) -> None:
        published = [name for name in self._settings.ports if name.removesuffix("_smtp") in names & set(_PUBLISHED)]
        ports.require_free(self._settings.ports, published)

    def _get_images(self, wanted: Collection[str]) -> None:
        if not self._engine.env.get(IMAGE_VARIABLE):
            self._engine.compose("build", "init", timeout=_BUILD_SECONDS)
        absent = [name for name in PARTS if name not in wanted]
        missing = self._engine.find_unobtainable(self._needed_images(absent))
        if missing:
            raise DockerError(
                f"{missing[0]} is not here and cannot be pulled: see to the network, or name another by its variable"
            )
        to_pull = self._to_pull(wanted)
        if to_pull:
            self._engine.compose("pull", "--quiet", *to_pull, timeout=_BUILD_SECONDS)

    def _to_pull(self, wanted: Iterable[str]) -> list[str]:
        services = self._engine.services
        return [name for name in wanted if not self._engine.has_image(str(services[name]["image"]))]

    def _start(self, wanted: list[str], timeout: float) -> None:
        unwanted = set(PARTS) - set(wanted)
        leaving = [container["Id"] for container in self._engine.containers() if _service(container) in unwanted]
        if leaving:
            self._engine.run("docker", "stop", *leaving, timeout=_DOWN_SECONDS)
            self._engine.run("docker", "rm", *leaving, timeout=_DOWN_SECONDS)
        deadline = time.monotonic() + timeout
        try:
            self._engine.compose("up", "--detach", "--no-build", *wanted, timeout=timeout)
        except DockerError as error:
            raise DockerError(self._explain(wanted) or str(error)) from error
        while not all(part.healthy for part in self.status()):
            if time.monotonic() > deadline or self._is_hopeless():
                raise DockerError(self._explain(wanted) or f"not everything was healthy within {timeout:.0f} seconds")
            time.sleep(_POLL_SECONDS)

    def _is_hopeless(self) -> bool:
        return any(part.restarts >= _GIVE_UP_RESTARTS for part in self.status() if not part.healthy)

    def _explain(self, wanted: Collection[str]) -> str:
        """Return a sentence on the first part that failed, with the last line of its log; empty when none did."""
        for container in self._engine.containers():
            name, state = _service(container), container["State"]
            failed = state["Status"] == "exited" and state["ExitCode"] != 0
            unhealthy = state.get("Health", {}).get("Status") == "unhealthy" or state["Status"] == "restarting"
            if (name == "init" or name in wanted) and (failed or unhealthy):
                log = self._engine.run("docker", "logs", "--tail", "20", container["Id"])
                verb = f"ended with {state['ExitCode']}" if failed else "did not become healthy"
                return f"{name} {verb}; its log ends: {last_words(log.stderr or log.stdout)}"
        return ""

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove every container and network of the project, and what was measured where `volumes` is set."""
        # With the second file, so that what it adds goes too, whether or not it is asked for now.
        whole = Engine(self._engine.checkout, {"COMPOSE_FILE": COMPOSE_FILES, **self._engine.env})
        whole.compose("down", "--remove-orphans", *(["--volumes"] if volumes else []), timeout=_DOWN_SECONDS)

    def logs(self, name: str, *, follow: bool = False, tail: int = 200) -> int:
        """Show the log of one part on this terminal and return Compose's exit code.

        Raises:
            DockerError: naming the parts there are, when `name` is none of them.
        """
        known = sorted(_service(container) for container in self._engine.containers())
        if name not in known:
            raise DockerError(f"{name!r} is no part of this stack: it has {', '.join(known) or 'none'}")
        return self._engine.stream(("logs", f"--tail={tail}", *(["--follow"] if follow else []), name))
