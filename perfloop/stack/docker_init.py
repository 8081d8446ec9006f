"""What Compose's `init` container does, once before everything else: passwords, and what Alertmanager reads.

It runs as root within its own walls, without the power to write where others own: what it rewrites, it replaces.
`python -m perfloop.stack.docker_init` needs no argument in the container.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import yaml

from perfloop.stack import alertmanager_config, alertmanager_secrets, otlp
from perfloop.stack.alertmanager_version import parse_version
from perfloop.stack.errors import StackError
from perfloop.stack.remote_write import REMOTE_WRITE_FILE, REPLICAS, anchor, extend, read_remote_write
from perfloop_base.cli import Parser, guard
from perfloop_base.errors import ExitCode
from perfloop_base.traces import URL_VARIABLE, parse_store_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perfloop.stack.alertmanager_version import Version

# The users of the public images that read what is written here (docker-compose.yml starts them as these).
ALERTMANAGER_UID = 65534
GRAFANA_UID = 472
OUR_UID = 10001  # as in the Dockerfile
NOBODY_UID = 65534  # of Prometheus and of the long-term store
_PROGRAM = "perfloop.stack.docker_init"
SEEN_AS = Path("/etc/perfloop")  # where Alertmanager's container has the volume
SECOND_ALERTMANAGER = "alertmanager-2:9093"
_PROMETHEUS_SEEN_AS = PurePosixPath("/etc/prometheus")  # where both Prometheus have the committed directory
_OWNER_READS = 0o400
# PostgreSQL's and Redis' user differs from image to image; only their containers and the demo's have the volume.
_MOUNTED_READ = 0o444
_REDIS = """\
# The demo's cache: gone with its container, and no larger than its memory limit allows.
requirepass {password}
save ""
appendonly no
maxmemory 128mb
maxmemory-policy allkeys-lru
"""


def _replace(path: Path, text: str, *, mode: int, owner: int | None = None) -> None:
    """Write a file that was never readable by anybody else, not even for a moment."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(descriptor, mode)
        if owner is not None and os.geteuid() == 0:
            os.fchown(descriptor, owner, owner)
    fresh.replace(path)


def _new_password() -> str:
    return secrets.token_urlsafe(24)


def make_password(path: Path, owner: int) -> None:
    """Make a random password that `owner` alone can read, unless there is one."""
    if not path.exists():
        _replace(path, _new_password(), mode=_OWNER_READS, owner=owner)


def make_demo_password(directory: Path) -> None:
    """Make the password of the demo's database and cache, unless there is one, and Redis' configuration with it."""
    path = directory / "password"
    if not path.exists():
        _replace(path, _new_password(), mode=_MOUNTED_READ)
    _replace(directory / "redis.conf", _REDIS.format(password=path.read_text(encoding="utf-8")), mode=_MOUNTED_READ)


def find_addresses(grafana_port: str, inbox_port: str = "19130") -> dict[str, str]:
    """Return the addresses that replace those of the committed files: pages are opened from outside the containers."""
    return {
        alertmanager_config.GRAFANA: f"127.0.0.1:{grafana_port}",
        alertmanager_config.INBOX_AS_COMMITTED: f"127.0.0.1:{inbox_port}",
    }


def image_version() -> Version | None:
    """Return the version that the name of Alertmanager's image has; None where it has none, as `latest`."""
    return parse_version(os.environ.get("PERFLOOP_ALERTMANAGER_IMAGE", ""))


def read_traces_url() -> str:
    """Return where a browser reaches the traces; empty where none are kept.

    Raises:
        StackError: it is no address.
    """
    try:
        return parse_store_url(os.environ.get(URL_VARIABLE, ""))
    except ValueError as error:
        raise StackError(f"{URL_VARIABLE}: {error}") from error


def install_alertmanager(source: Path, secrets_dir: Path, target: Path, addresses: Mapping[str, str]) -> None:
    """Replace what `target` holds by the effective Alertmanager directory.

    Raises:
        StackError: with a sentence for each file that cannot be used; `target` is then as it was.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "alertmanager"
        alertmanager_config.install(
            source,
            fresh,
            secrets_dir,
            addresses,
            seen_as=SEEN_AS,
            version=image_version(),
            traces_url=read_traces_url(),
        )
        for old in target.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for path in sorted(fresh.rglob("*")):
            copy = target / path.relative_to(fresh)
            if path.is_dir():
                copy.mkdir(mode=0o755)
            else:
                mode = _OWNER_READS if path.parent.name == "secrets" else _MOUNTED_READ
                _replace(copy, path.read_text(encoding="utf-8"), mode=mode, owner=ALERTMANAGER_UID)


def install_report_secrets(secrets_dir: Path, target: Path) -> None:
    """Replace what the analyzer's reports are sent by: copies of what switches Slack and mail to their real services.

    Raises:
        StackError: with a sentence for each file that cannot be used; `target` is then as it was.
    """
    values = alertmanager_secrets.read_secrets(secrets_dir).values
    target.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in alertmanager_secrets.REPORTS:
        (target / name).unlink(missing_ok=True)
        if name in values:
            _replace(target / name, values[name], mode=_OWNER_READS, owner=OUR_UID)


def announce_second_alertmanager(directory: Path) -> None:
    """Announce the second Alertmanager of docker-compose.ha.yml to Prometheus, by a file that it watches."""
    _replace(directory / "second.yml", f'- targets: ["{SECOND_ALERTMANAGER}"]\n', mode=_MOUNTED_READ)


def install_pair(source: Path, target: Path, alertmanagers: str) -> None:
    """Write the configuration of each Prometheus of a pair, which writes to the long-term store.

    Args:
        source: the configuration.
        target: the volume that both read.
        alertmanagers: `2` where a second one runs; the second Prometheus has no watched file that says so.

    Raises:
        ConfigError: with a sentence for each problem of `remote_write.yml`; nothing was written.
    """
    for name in REPLICAS:
        _replace(target / f"{name}.yml", _of_pair(source, name, alertmanagers), mode=_MOUNTED_READ)


def _of_pair(source: Path, name: str, alertmanagers: str) -> str:
    committed = (source / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    text = anchor(extend(committed, read_remote_write(source / REMOTE_WRITE_FILE), name), _PROMETHEUS_SEEN_AS)
    if alertmanagers != "2":
        return text
    config = yaml.safe_load(text)
    # Into the first group: there an address that a watched file names too counts once.
    group = config["alerting"]["alertmanagers"][0]
    group["static_configs"] = [*(group.get("static_configs") or []), {"targets": [SECOND_ALERTMANAGER]}]
    return yaml.safe_dump(config, sort_keys=False)


def install_otlp(source: Path, target: Path, environment: Mapping[str, str]) -> None:
    """Write the configuration of a Prometheus that receives OTLP: what it has otherwise, and its receiver.

    Args:
        source: the configuration.
        target: the volume that Prometheus reads.
        environment: what docker-compose.scale.yml and docker-compose.ha.yml say, where they are used.

    Raises:
        ConfigError: with a sentence for each problem of `remote_write.yml`; nothing was written.
    """
    if environment.get("PERFLOOP_SCALE") == "1":
        text = _of_pair(source, "prometheus", environment.get("PERFLOOP_ALERTMANAGERS", ""))
    else:
        committed = (source / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
        text = anchor(committed, _PROMETHEUS_SEEN_AS)
    _replace(target / "prometheus.yml", otlp.extend(text), mode=_MOUNTED_READ)


def give_store(directory: Path) -> None:
    """Make the long-term store's empty volume its own: no image has that directory, so it belongs to root."""
    if os.geteuid() == 0:
        os.chown(directory, NOBODY_UID, NOBODY_UID)


def _unreadable(directory: Path) -> Iterator[Path]:
    for path in (directory, *sorted(directory.rglob("*"))):
        mode = path.lstat().st_mode
        needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        if mode & needed != needed and not stat.S_ISLNK(mode):
            yield path


def require_readable(directories: Iterable[Path]) -> None:
    """Check that the containers' users, who are not the owner, can read the committed configuration.

    Raises:
        StackError: naming the first file that they cannot read, and the command that helps.
    """
    for directory in directories:
        found = next(_unreadable(directory), None)
        if found is not None:
            shown = directory.name / found.relative_to(directory)
            mode = stat.S_IMODE(found.lstat().st_mode)
            raise StackError(
                f"{shown} has mode {mode:04o}, so the containers' users cannot read it: "
                f"`chmod -R o+rX {directory.name}`"
            )


def main(argv: list[str] | None = None) -> int:
    """Make everything; return the exit code."""
    return guard(_PROGRAM, lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    parser = Parser(prog=f"python -m {_PROGRAM}", description=__doc__)
    parser.add_argument(
        "--source", type=Path, default=Path("/src"), help="prometheus/, alertmanager/, grafana/, secrets/"
    )
    parser.add_argument("--out", type=Path, default=Path("/out"), help="the volumes, a directory for each")
    options = parser.parse_args(argv)
    source, out = options.source, options.out
    ports = (os.environ.get(f"PERFLOOP_{name}_PORT") for name in ("GRAFANA", "INBOX"))
    addresses = find_addresses(*(port or default for port, default in zip(ports, ("3000", "19130"), strict=True)))
    require_readable(source / name for name in ("prometheus", "alertmanager", "grafana"))
    make_password(out / "grafana" / "admin-password", GRAFANA_UID)
    make_password(out / "analyzer" / "token", OUR_UID)
    make_demo_password(out / "demo")
    install_alertmanager(source / "alertmanager", source / "secrets", out / "alertmanager", addresses)
    install_report_secrets(source / "secrets", out / "analyzer" / "reports")
    if os.environ.get("PERFLOOP_ALERTMANAGERS") == "2":
        announce_second_alertmanager(out / "alertmanagers")
    if os.environ.get("PERFLOOP_OTLP") == "1":
        install_otlp(source, out / "otlp", os.environ)
    if os.environ.get("PERFLOOP_SCALE") == "1":
        install_pair(source, out / "prometheus", os.environ.get("PERFLOOP_ALERTMANAGERS", ""))
        give_store(out / "vmstorage")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
