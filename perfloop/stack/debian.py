"""Programs out of Debian's packages, unpacked below a folder: no root, nothing installed, no trace elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from perfloop.stack.errors import ProgramError

# program → its package, and the names of the package's programs under our names
PACKAGES = {
    "prometheus": ("prometheus", {"prometheus": "prometheus", "promtool": "promtool"}),
    "alertmanager": ("prometheus-alertmanager", {"alertmanager": "prometheus-alertmanager", "amtool": "amtool"}),
    # The peer that tests and benchmarks hold the exporter against; no stack runs it.
    "node_exporter": ("prometheus-node-exporter", {"node_exporter": "prometheus-node-exporter"}),
}
_APT_TIMEOUT_SECONDS = 180
# Debian builds Alertmanager to read its own templates from a fixed folder, which an unpacked package does not have.
_FIXED_FOLDER = b"/usr/share/prometheus/alertmanager"
_DESCRIPTOR = 9
_LAUNCHER = """#!/bin/sh
# The program reads its templates through descriptor {descriptor}, wherever the package was unpacked.
here=$(dirname "$(readlink -f "$0")")
exec {descriptor}<"$here/../share/prometheus/alertmanager"
exec "$here/prometheus-alertmanager.relocated" "$@"
"""


def _run(command: list[str], folder: Path) -> None:
    shown = " ".join([command[0], *(word for word in command[1:] if not word.startswith("-"))][:2])
    try:
        subprocess.run(  # noqa: S603 - a fixed command line
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_APT_TIMEOUT_SECONDS
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or ["it said nothing"]
        message = f"`{shown}` failed: {lines[-1]}"
        raise ProgramError(message) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"`{shown}` failed: {error}"
        raise ProgramError(message) from error


def _apt(folder: Path) -> list[str]:
    """Return an apt-get that keeps its lists and cache below `folder`."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
    }
    return ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]


def _download(package: str, folder: Path) -> Path:
    apt = _apt(folder)
    for old in folder.glob(f"{package}_*.deb"):
        old.unlink()
    if not any((folder / "lists").glob("*Packages*")):
        _run([*apt, "update"], folder)
    try:
        _run([*apt, "download", package], folder)
    except ProgramError:  # the lists may be of another day than the archive
        _run([*apt, "update"], folder)
        _run([*apt, "download", package], folder)
    return next(folder.glob(f"{package}_*.deb"))


def relocate(program: Path, fixed: bytes) -> None:
    """Put a launcher in the place of `program`, whose fixed folder becomes one that the launcher opens.

    The path in the program keeps its length: slashes fill it, and the kernel reads many as one.
    """
    moved = program.with_name(f"{program.name}.relocated")
    head, tail = b"/proc/self/fd", str(_DESCRIPTOR).encode()
    moved.write_bytes(program.read_bytes().replace(fixed, head + b"/" * (len(fixed) - len(head) - len(tail)) + tail))
    moved.chmod(0o755)
    program.write_text(_LAUNCHER.format(descriptor=_DESCRIPTOR), encoding="utf-8")


def unpack_package(program: str, folder: Path) -> dict[str, Path]:
    """Unpack the package that holds `program` below `folder`; return its programs by our names.

    Raises:
        ProgramError: when the machine has no apt, or the package is not to be had.
    """
    if program not in PACKAGES or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        message = f"there is no Debian package of {program} for this machine"
        raise ProgramError(message)
    package, names = PACKAGES[program]
    archive = _download(package, folder / "apt")
    _run(["dpkg-deb", "-x", str(archive), str(folder / "debian")], folder)
    archive.unlink()
    programs = {name: folder / "debian" / "usr" / "bin" / binary for name, binary in names.items()}
    if program == "alertmanager":
        relocate(programs["alertmanager"], _FIXED_FOLDER)
    return programs
