"""The stack in containers: `docker-compose.yml` started, watched and stopped."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop.stack import build_context, generation, health, ports, records, validation
from perfloop.stack.components import PROMETHEUS_PAIR, ComponentStatus, read_interval
from perfloop.stack.compose_files import FILES_VARIABLE, all_files, choose_files
from perfloop.stack.configuration import write_secret
from perfloop.stack.docker_engine import Engine, last_words
from perfloop.stack.errors import DockerError, StackError, UnhealthyError
from perfloop.stack.remote_write import STORE
from perfloop.stack.retention import find_short_retention

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from perfloop.stack.settings import Settings

DEMO_COMPONENTS = ("demo", "loadgen", "postgres", "redis")
OPTIONAL = (*DEMO_COMPONENTS, "grafana")  # without them the rest watches, and notifies
SECOND = "alertmanager_2"
# What docker-compose.scale.yml adds: a second Prometheus, and the parts of the long-term store.
STORE_GATE = "vmselect"
SCALE_COMPONENTS = (PROMETHEUS_PAIR[1], "vminsert", STORE_GATE, "vmstorage")
_PUBLISHED = (
    *("exporter", "analyzer", "loadgen", "inbox", "demo", *PROMETHEUS_PAIR, "alertmanager", SECOND, "grafana"),
    STORE_GATE,
)
_PORTS = {STORE_GATE: STORE}  # where the port has another name than the component
COMPONENTS = (*_PUBLISHED, "vminsert", "vmstorage", "postgres", "redis")
IMAGE_VARIABLE = "PERFLOOP_IMAGE"
PYTHON_VARIABLE = "PERFLOOP_PYTHON_IMAGE"
_BUILD_SECONDS = 1200.0
_DOWN_SECONDS = 120.0
_POLL_SECONDS = 0.5
_RELOAD_SECONDS = 60.0  # on a busy machine
_READ_TOKEN = ("exec", "-T", "analyzer", "cat", "/run/perfloop/token")
# Copies a database in memory, whatever is written meanwhile, and prints it: Compose's output is text.
_COPY = (
    "import base64,sqlite3,sys;source=sqlite3.connect('file:'+sys.argv[1]+'?mode=rw',uri=True,timeout=10);"
    "copy=sqlite3.connect(':memory:');source.backup(copy);print(base64.b64encode(copy.serialize()).decode())"
)
_GIVE_UP_RESTARTS = 4  # a component that ends that often on its way up will not come
_OPTIONAL_SECONDS = 120.0
_RETRY_SECONDS = 30.0
_STATES = {"created": "starting", "paused": "paused", "running": "running", "restarting": "restarting"}


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether Docker can be taken, and the line that says why or why not."""

    usable: bool
    reason: str


def read_status(name: str, container: Mapping[str, Any] | None, url: str) -> ComponentStatus:
    """Return the row of one component from what `docker inspect` says of its container."""
    if container is None:
        return ComponentStatus(name, "absent", healthy=False, url=url, restarts=0, since="")
    state = container["State"]
    health = state.get("Health", {}).get("Status", "none")
    shown = _STATES.get(state["Status"], "exited")
    if shown == "running" and health == "starting":
        shown = "starting"
    started = str(state.get("StartedAt", ""))
    return ComponentStatus(
        name,
        shown,
        healthy=shown == "running" and health == "healthy",
        url=url,
        restarts=int(container.get("RestartCount", 0)),
        since="" if started.startswith("0001") else started[:19] + "Z",
    )


def _shares_mounts(mountinfo: str) -> bool:
    """Return whether mounts made later below / reach a container: `rslave` is refused where / is private."""
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[4] == "/":  # noqa: PLR2004 - proc(5): the fifth field is the mount point
            return any(field.startswith(("shared:", "master:")) for field in fields[6:])
    return False


def _not_healthy(rows: Iterable[ComponentStatus], timeout: float) -> UnhealthyError:
    return UnhealthyError(f"not healthy within {timeout:.0f} seconds: {', '.join(row.name for row in rows)}")


def _service(container: Mapping[str, Any]) -> str:
    return str(container["Config"]["Labels"].get("com.docker.compose.service", ""))


class DockerStack:
    """The Compose project of one configuration.

    Args:
        settings: where the stack lives and listens.
        env: the environment with what `.env` adds; the process's own when it is left out.
        say: where to report what goes on, one line at a time.
    """

    def __init__(
        self, settings: Settings, env: Mapping[str, str] | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        environment = dict(os.environ if env is None else env)
        self._settings = settings
        self._say = say
        if settings.home != settings.configuration / ".perfloop":  # another home is another stack: no shared container
            digest = hashlib.sha256(str(settings.home).encode()).hexdigest()
            environment.setdefault("COMPOSE_PROJECT_NAME", f"perfloop-{digest[:8]}")
        if files := choose_files(settings):
            environment.setdefault(FILES_VARIABLE, files)
        if settings.scale:
            environment.setdefault("PERFLOOP_DEDUP_INTERVAL", read_interval(settings))
        mountinfo = Path("/proc/self/mountinfo")
        if mountinfo.exists() and _shares_mounts(mountinfo.read_text(encoding="utf-8")):
            environment.setdefault("PERFLOOP_ROOT_PROPAGATION", ",rslave")
        if settings.directory != settings.configuration and settings.secrets.is_dir():
            environment.setdefault("PERFLOOP_SECRETS_DIR", str(settings.secrets))
        self._engine = Engine(settings.configuration, environment)

    @staticmethod
    def exists() -> bool:
        """Return whether a Docker client is on PATH at all."""
        return shutil.which("docker") is not None

    def availability(self) -> Availability:
        """Return whether the stack can run in containers here; nothing is pulled or started."""
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
        """Return the images that must be here or be pulled, none of a profile; for ours, which is built, its base."""
        services = self._engine.services
        own, base = services["init"]["image"], services["init"]["build"]["args"][PYTHON_VARIABLE]
        needed = [one for name, one in services.items() if name not in leave_out and not one.get("profiles")]
        images = {str(service["image"]) for service in needed}
        if self._engine.has_image(own):
            return sorted(images)
        return sorted((images - {own}) | {own if self._engine.env.get(IMAGE_VARIABLE) else str(base)})

    def running(self) -> bool:
        """Return whether the engine has a container of this project; no engine, no container."""
        try:
            return any(_service(container) != "init" for container in self._engine.containers())
        except DockerError:
            return False

    def status(self) -> list[ComponentStatus]:
        """Return a row for every component that this project has a container for, in the order of the pages."""
        by_name = {_service(container): container for container in self._engine.containers()}
        return [read_status(name, by_name[name], self._url(name)) for name in COMPONENTS if name in by_name]

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._settings.ports[_PORTS.get(name, name)]}" if name in _PUBLISHED else ""

    def up(self, *, demo: bool = True, grafana: bool = True, timeout: float = 300) -> list[ComponentStatus]:
        """Start everything and return once all is healthy.

        A part of the demo, or Grafana, that does not become healthy is reported, and the rest runs; so is a target that
        is down.

        Args:
            demo: whether the demo service, its load and its databases are among the components.
            grafana: whether Grafana is; it is not either where PERFLOOP_GRAFANA_SCALE is 0.
            timeout: seconds to wait for health once the images are there.

        Raises:
            StackError: in one sentence; what this call started is then stopped again.
        """
        self._engine.require_answer()
        self._generate()
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
        for name in before & {*PROMETHEUS_PAIR, "alertmanager", SECOND} & set(wanted):  # what they read may be new
            self._reload(name)
        write_secret(self._settings.home / "analyzer" / "token", self._engine.compose(*_READ_TOKEN).strip())
        return self.status()

    def _generate(self) -> None:
        """Check the configuration and write what is stale: the containers see the directories of the host.

        Raises:
            ConfigError: with a sentence for each problem; nothing was changed.
        """
        changes = validation.require_sources(self._settings)
        generation.write(self._settings.configuration, changes)
        if changes.paths:
            self._say(f"generated {', '.join(map(str, changes.paths))}")
        if short := find_short_retention(self._settings):
            self._say(f"warning: {short}")

    def _reload(self, name: str) -> None:
        component = records.Watched(name, self._url(name), "")
        before = health.read_last_reload(component)
        # By its own shell: after a signal from `docker kill`, the engine no longer restarts a container.
        self._engine.compose("exec", "-T", name, "sh", "-c", "kill -HUP 1")
        if not health.wait_reloaded(component, before, _RELOAD_SECONDS):
            words = last_words(self._engine.compose("logs", "--no-color", "--tail=20", name))
            raise DockerError(f"{name} did not take its new configuration; its log ends: {words}")

    def _choose(self, *, demo: bool, grafana: bool) -> list[str]:
        grafana = grafana and self._engine.env.get("PERFLOOP_GRAFANA_SCALE", "1") != "0"
        left_out = (() if demo else DEMO_COMPONENTS) + (() if grafana else ("grafana",))
        left_out += () if self._settings.alertmanagers > 1 else (SECOND,)
        left_out += () if self._settings.scale else SCALE_COMPONENTS
        return [name for name in COMPONENTS if name not in left_out]

    def _require_ports(self, names: set[str]) -> None:
        ports_of = {_PORTS.get(name, name) for name in names & set(_PUBLISHED)}
        published = [name for name in self._settings.ports if name.removesuffix("_smtp") in ports_of]
        ports.require_free(self._settings.ports, published)

    def _get_images(self, wanted: Collection[str]) -> None:
        if not self._engine.env.get(IMAGE_VARIABLE):
            self._prepare_build()
            self._engine.compose("build", "init", timeout=_BUILD_SECONDS)
        absent = [name for name in COMPONENTS if name not in wanted]
        missing = self._engine.find_unobtainable(self._needed_images(absent))
        if missing:
            raise DockerError(
                f"{missing[0]} is not here and cannot be pulled: see to the network, or name another by its variable"
            )
        to_pull = self._to_pull(wanted)
        if to_pull:
            self._engine.compose("pull", "--quiet", *to_pull, timeout=_BUILD_SECONDS)

    def _prepare_build(self) -> None:
        """Write what the image is built from where the configuration has no sources beside it.

        Only now: Compose 1.29 refuses every command while the directory to build from does not exist.
        """
        if not build_context.is_complete(self._settings.configuration):
            context = build_context.assemble(self._settings.home / "build")
            self._engine.env.setdefault("PERFLOOP_BUILD_CONTEXT", str(context))

    def _to_pull(self, wanted: Iterable[str]) -> list[str]:
        services = self._engine.services
        return [name for name in wanted if not self._engine.has_image(str(services[name]["image"]))]

    def _start(self, wanted: list[str], timeout: float) -> None:
        unwanted = set(COMPONENTS) - set(wanted)
        leaving = [container["Id"] for container in self._engine.containers() if _service(container) in unwanted]
        if leaving:
            self._engine.run("docker", "stop", *leaving, timeout=_DOWN_SECONDS)
            self._engine.run("docker", "rm", *leaving, timeout=_DOWN_SECONDS)
        paused = [container["Id"] for container in self._engine.containers() if container["State"].get("Paused")]
        if paused:
            self._engine.run("docker", "unpause", *paused, timeout=_DOWN_SECONDS)
        self._bring_up([name for name in wanted if name not in OPTIONAL], timeout)
        optional = [name for name in wanted if name in OPTIONAL]
        try:
            self._bring_up(optional, min(timeout, _OPTIONAL_SECONDS))
        except StackError as error:
            self._say(f"warning: {error}. The rest runs; `perfloop up` tries again")
        for target in health.wait_targets_up(self._url("prometheus"), (), 0)[1]:
            self._say(f"warning: a target is down, and the stack runs without it: {target}")

    def _bring_up(self, names: list[str], timeout: float) -> None:
        """Start components and wait until they are healthy.

        Raises:
            DockerError: when Compose refuses, or `init` does.
            UnhealthyError: naming the first that does not become healthy; what was started is left.
        """
        if not names:
            return
        deadline = time.monotonic() + timeout
        before = {row.name: row.restarts for row in self._rows(names)}
        while True:
            refusal = self._compose_up(names, deadline - time.monotonic())
            patience = deadline if refusal is None else min(deadline, time.monotonic() + _RETRY_SECONDS)
            while waiting := [row for row in self._rows(names) if not row.healthy]:
                hopeless = any(row.restarts - before[row.name] >= _GIVE_UP_RESTARTS for row in waiting)
                if hopeless or time.monotonic() > deadline:
                    raise self._explain(names) or _not_healthy(waiting, timeout)
                if time.monotonic() > patience:
                    break
                time.sleep(_POLL_SECONDS)
            if refusal is None:
                return

    def _compose_up(self, names: list[str], timeout: float) -> DockerError | None:
        """Have Compose start components; return its refusal where only a part that is unhealthy now is in the way.

        Raises:
            StackError: when it refuses for another reason, `init` among them.
        """
        try:
            self._engine.compose("up", "--detach", "--no-build", *names, timeout=timeout)
        except DockerError as error:
            if "unhealthy" in str(error):
                return error
            late = "did not end within" in str(error)  # it waits for a part that others need
            waiting = [row for row in self._rows(names) if late and not row.healthy]
            raise self._explain(names) or (_not_healthy(waiting, timeout) if waiting else error) from error
        return None

    def _rows(self, names: Collection[str]) -> list[ComponentStatus]:
        """Return the rows of these components, one without a container among them."""
        by_name = {_service(container): container for container in self._engine.containers()}
        return [read_status(name, by_name.get(name), self._url(name)) for name in names]

    def _explain(self, wanted: Collection[str]) -> StackError | None:
        """Return a sentence on the first component that failed, with the last line of its log; None when none did."""
        for container in self._engine.containers():
            name, state = _service(container), container["State"]
            failed = state["Status"] == "exited" and state["ExitCode"] != 0
            unhealthy = state.get("Health", {}).get("Status") == "unhealthy" or state["Status"] == "restarting"
            if (name == "init" or name in wanted) and (failed or unhealthy):
                log = self._engine.run("docker", "logs", "--tail", "20", container["Id"])
                verb = f"ended with {state['ExitCode']}" if failed else "did not become healthy"
                sentence = f"{name} {verb}; its log ends: {last_words(log.stderr or log.stdout)}"
                return DockerError(sentence) if name == "init" else UnhealthyError(sentence)
        return None

    def has_grafana(self) -> bool:
        """Return whether Grafana is among the containers of this project."""
        return any(_service(container) == "grafana" for container in self._engine.containers())

    def read_grafana_password(self) -> str:
        """Return the password of Grafana's `admin`, which only its container and `init` can read.

        Raises:
            DockerError: when the container does not answer.
        """
        return self._engine.compose("exec", "-T", "grafana", "cat", "/run/perfloop/admin-password").strip()

    def copy_database(self, component: str, path: str) -> bytes:
        """Return a SQLite database of one of our components as it is at one moment.

        Raises:
            DockerError: when the container does not answer, or has no such database.
        """
        printed = self._engine.compose("exec", "-T", component, "python3", "-c", _COPY, path)
        try:
            return base64.b64decode(printed.strip(), validate=True)
        except ValueError as error:
            raise DockerError(f"{component} did not print its database {path}") from error

    def has_store(self) -> bool:
        """Return whether a long-term store is among the containers of this project."""
        return any(_service(container) in SCALE_COMPONENTS for container in self._engine.containers())

    def _whole(self) -> Engine:
        """Return the project with every Compose file that is there: what runs may be of any of them."""
        files = all_files(self._engine.directory, self._engine.env.get(FILES_VARIABLE, ""))
        return Engine(self._engine.directory, {**self._engine.env, FILES_VARIABLE: files})

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove every container and network of the project, and what was measured where `volumes` is set."""
        self._whole().compose("down", "--remove-orphans", *(["--volumes"] if volumes else []), timeout=_DOWN_SECONDS)

    def read_log(self, name: str) -> str:
        """Return the end of a component's log; nothing where the engine does not say it."""
        try:
            return self._engine.compose("logs", "--no-color", "--tail=500", name)
        except DockerError:
            return ""

    def logs(self, name: str, *, follow: bool = False, tail: int = 200) -> int:
        """Show the log of one component on this terminal and return Compose's exit code.

        Raises:
            DockerError: naming the components there are, when `name` is none of them.
        """
        known = sorted(_service(container) for container in self._engine.containers())
        if name not in known:
            raise DockerError(f"unknown component {name!r}: this stack has {', '.join(known) or 'none'}")
        return self._whole().stream(("logs", f"--tail={tail}", *(["--follow"] if follow else []), name))
