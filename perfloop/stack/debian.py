"""Programs out of Debian's packages, unpacked below a directory: no root, nothing installed, no trace elsewhere.

This is the last resort of a machine that can reach its Debian mirror but not GitHub. Debian builds the path of pages
and templates (`/usr/share/…`) into its Prometheus and Alertmanager and has no flag for it: unpacked elsewhere,
Alertmanager does not start without its default template. So `relocate` writes another path of the same length over it.
What would be simpler does not work for everybody: a mount in a namespace of its own needs user namespaces, which many
kernels and all default containers refuse, and a preloaded library does not reach a statically linked Go program.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.stack import archives
from perfloop.stack.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_APT_TIMEOUT_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package with a server in it.

    Attributes:
        name: the package.
        programs: the names of its programs, by our names.
        assets: the directory that Debian built into the server, which an unpacked package lacks; empty for none.
        companions: the packages whose files the server's pages are made of.
        split_off: packages of some of the programs in later Debians, unknown to earlier ones.
    """

    name: str
    programs: Mapping[str, str]
    assets: str = ""
    companions: tuple[str, ...] = ()
    split_off: tuple[str, ...] = ()


PACKAGES = {
    "prometheus": Package(
        "prometheus",
        {"prometheus": "prometheus", "promtool": "promtool"},
        "/usr/share/prometheus/web",
        (
            "fonts-glyphicons-halflings",
            "libjs-bootstrap4",
            "libjs-d3",
            "libjs-eonasdan-bootstrap-datetimepicker",
            "libjs-jquery",
            "libjs-jquery-hotkeys",
            "libjs-moment",
            "libjs-moment-timezone",
            "libjs-mustache",
            "libjs-popper.js",
            "libjs-rickshaw",
        ),
        split_off=("promtool",),  # since Debian 13
    ),
    "alertmanager": Package(
        "prometheus-alertmanager",
        {"alertmanager": "prometheus-alertmanager", "amtool": "amtool"},
        "/usr/share/prometheus/alertmanager",
    ),
    # The long-term store of `perfloop up --scale`.
    "victoria-metrics": Package("victoria-metrics", {"victoria-metrics": "victoria-metrics"}),
    # The peer that tests and benchmarks hold the exporter against; no stack runs it.
    "node_exporter": Package("prometheus-node-exporter", {"node_exporter": "prometheus-node-exporter"}),
}
_DESCRIPTOR = 9
_LAUNCHER = """#!/bin/sh
# The server reads {assets} through descriptor {descriptor}, wherever the package was unpacked.
here=$(dirname "$(readlink -f "$0")")
exec {descriptor}<"$here/../..{assets}"
exec "$here/{name}.relocated" "$@"
"""


def _run(command: list[str], directory: Path) -> None:
    shown = " ".join([command[0], *(word for word in command[1:] if not word.startswith("-"))][:2])
    try:
        subprocess.run(  # noqa: S603 - a fixed command line
            command, cwd=directory, check=True, capture_output=True, text=True, timeout=_APT_TIMEOUT_SECONDS
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or ["it said nothing"]
        raise ProgramError(f"`{shown}` failed: {lines[-1]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"`{shown}` failed: {error}") from error


def _apt(tool: str, directory: Path) -> list[str]:
    """Return an apt-get or apt-cache that keeps its lists and cache below `directory`."""
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": directory / "lists",
        "Dir::Cache": directory / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
    }
    return [tool, "-qq", *(f"-o{key}={value}" for key, value in options.items())]


def _is_known(package: str, directory: Path) -> bool:
    """Return whether this Debian has the package."""
    asked = subprocess.run(  # noqa: S603 - a fixed command line
        [*_apt("apt-cache", directory), "show", package], capture_output=True, timeout=_APT_TIMEOUT_SECONDS, check=False
    )
    return asked.returncode == 0


def _download(package: Package, directory: Path) -> list[Path]:
    apt = _apt("apt-get", directory)
    for old in directory.glob("*.deb"):
        old.unlink()
    if not any((directory / "lists").glob("*Packages*")):
        _run([*apt, "update"], directory)
    packages = [package.name, *package.companions]
    packages += [name for name in package.split_off if _is_known(name, directory)]
    try:
        _run([*apt, "download", *packages], directory)
    except ProgramError:  # the lists may be of another day than the archive
        _run([*apt, "update"], directory)
        _run([*apt, "download", *packages], directory)
    return sorted(directory.glob("*.deb"))


def _unpack(archive: Path, directory: Path) -> None:
    """Unpack the files of a package, whose digest apt has checked against its signed lists.

    Raises:
        ProgramError: naming the package, when it is none or holds what no package that the stack uses does.
    """
    with tempfile.TemporaryFile() as tar:
        # The decompressed archive first: what breaks off in the middle is then no archive.
        done = subprocess.run(  # noqa: S603 - a fixed command line
            ["dpkg-deb", "--fsys-tarfile", str(archive)],  # noqa: S607 - found on PATH before
            stdout=tar,
            stderr=subprocess.PIPE,
            timeout=_APT_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ProgramError(f"{archive.name} is no Debian package: {said[-1]}")
        tar.seek(0)
        try:
            archives.unpack(tar, directory, absolute_links=True)
        except (OSError, tarfile.TarError) as error:
            raise ProgramError(f"{archive.name} could not be unpacked: {error}") from error


def relocate(server: Path, assets: str) -> None:
    """Put a launcher in the place of `server`, which then reads `assets` of the unpacked package.

    The path in the program keeps its length: slashes fill it, and the kernel reads many as one.
    """
    moved = server.with_name(f"{server.name}.relocated")
    head, tail = b"/proc/self/fd", str(_DESCRIPTOR).encode()
    fixed = assets.encode()
    moved.write_bytes(server.read_bytes().replace(fixed, head + b"/" * (len(fixed) - len(head) - len(tail)) + tail))
    moved.chmod(0o755)
    server.write_text(_LAUNCHER.format(descriptor=_DESCRIPTOR, assets=assets, name=server.name), encoding="utf-8")


def unpack_package(program: str, directory: Path) -> dict[str, Path]:
    """Unpack the package that holds `program` below `directory`; return its programs by our names.

    Raises:
        ProgramError: when the machine has no apt, or the package cannot be downloaded.
    """
    if program not in PACKAGES or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ProgramError(f"there is no Debian package of {program} for this machine")
    package = PACKAGES[program]
    for archive in _download(package, directory / "apt"):
        _unpack(archive, directory / "debian")
        archive.unlink()
    programs = {name: directory / "debian" / "usr" / "bin" / binary for name, binary in package.programs.items()}
    if package.assets:
        relocate(programs[program], package.assets)
    return programs
