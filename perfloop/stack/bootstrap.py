"""Set-up on a machine that has nothing but Python: make `.venv` and install the project into it.

    python3 perfloop/stack/bootstrap.py EXTRA [EXTRA ...]

Only the standard library is used: it runs before anything is installed. A second call changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
STAMP = VENV / ".perfloop"
OLDEST_PYTHON = (3, 11)


class SetupError(Exception):
    """One sentence: what is missing, and how to get it."""


def fingerprint(extras: list[str]) -> str:
    """Return what the installed environment depends on, as a hash."""
    digest = hashlib.sha256(" ".join([*map(str, sys.version_info[:2]), *sorted(extras)]).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((CHECKOUT / name).read_bytes())
    return digest.hexdigest()


def installed_extras() -> list[str]:
    """Return the extras that the environment was last set up with."""
    try:
        return STAMP.read_text(encoding="utf-8").split()[1:]
    except OSError:
        return []


def is_set_up(extras: list[str]) -> bool:
    """Return whether the environment has at least these extras, of this very project file."""
    have = installed_extras()
    if not have or not set(extras) <= set(have):
        return False
    return STAMP.read_text(encoding="utf-8").split()[0] == fingerprint(have)


def _run(command: list[str], problem: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command lines
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise SetupError(f"{problem}: {said[-1]}")


def require_venv_module() -> None:
    """Make sure that Python can make an environment with pip in it; root on Debian installs the missing package.

    Raises:
        SetupError: naming the one package that is missing.
    """
    if find_spec("venv") and find_spec("ensurepip"):
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            f"this Python has no ensurepip: install the package {package} (`apt-get install python3-venv` as root)"
        )
    sys.stderr.write(f"installing {package}, which this Python lacks\n")
    problem = f"{package} could not be installed"
    _run(["apt-get", "-qq", "update"], problem)
    _run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", package], problem)


def set_up(extras: list[str]) -> None:
    """Make the environment and install the project with these extras.

    Raises:
        SetupError: in one sentence.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(f"this is Python {sys.version.split()[0]}: Perfloop needs 3.11 or later")
    require_venv_module()
    python = VENV / "bin" / "python"
    if not python.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(VENV)], "the environment .venv could not be made")
    wanted = sorted(set(extras) | set(installed_extras()))
    sys.stderr.write(f"installing perfloop[{','.join(wanted)}] into .venv\n")
    project = f"{CHECKOUT}[{','.join(wanted)}]"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--root-user-action=ignore"]
    _run([*pip, "-c", str(CHECKOUT / "constraints.txt"), "-e", project], "the packages could not be installed")
    STAMP.write_text(" ".join([fingerprint(wanted), *wanted]) + "\n", encoding="utf-8")


def main(extras: list[str]) -> int:
    """Set up what is not set up yet."""
    if is_set_up(extras):
        return 0
    try:
        set_up(extras)
    except SetupError as error:
        sys.stderr.write(f"set-up: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
