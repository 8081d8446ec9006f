"""The real programs: found, else downloaded as the pinned release, else unpacked from the Debian package.

`python -m perfloop.stack.programs` fetches what a native stack and the tests need, and prints where each is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack.archives import unpack
from perfloop.stack.debian import unpack_package
from perfloop.stack.errors import ProgramError
from perfloop.stack.releases import Release, find_release
from perfloop_base.shipped import shipped_root
from perfloop_base.terminal import show, warn

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = shipped_root()
_DOWNLOAD_TIMEOUT_SECONDS = 10  # per read: a closed network answers at once or never
_MOST_DOWNLOAD_BYTES = 1 << 30  # Grafana, the largest, has 200 MB
_OTHER_NAMES = {"victoria-metrics": "victoria-metrics-prod"}  # as its own releases call it


def home() -> Path:
    """Return the directory where a run leaves everything: `PERFLOOP_HOME`, else `.perfloop` in the checkout."""
    return Path(os.environ.get("PERFLOOP_HOME") or CHECKOUT / ".perfloop").resolve()


def find(name: str, directory: Path | None = None) -> Path | None:
    """Return the program's path, or None where it must be downloaded first.

    A program on PATH wins; then `bin/` of `directory` (default: `home()`), then `.perfloop/bin` of the checkout.
    """
    on_path = shutil.which(name) or shutil.which(_OTHER_NAMES.get(name, name))
    if on_path:
        return Path(on_path)
    candidates = [(directory or home()) / "bin" / name, CHECKOUT / ".perfloop" / "bin" / name]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def find_grafana(directory: Path) -> Path | None:
    """Return Grafana's server: `grafana` since 9.4, `grafana-server` before."""
    return find("grafana", directory) or find("grafana-server", directory)


def download(url: str, target: Path) -> str:
    """Download `url` to `target` and return the sha256 of what came, in hex.

    Raises:
        OSError: when it cannot be reached, or is larger than anything that is downloaded here.
    """
    digest = hashlib.sha256()
    size = 0
    with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_SECONDS) as answer, target.open("wb") as file:  # noqa: S310 - pinned https
        while block := answer.read(1 << 20):
            size += len(block)
            if size > _MOST_DOWNLOAD_BYTES:
                raise OSError(errno.EFBIG, f"more than {_MOST_DOWNLOAD_BYTES} bytes came")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _link(directory: Path, name: str, target: Path) -> None:
    link = directory / "bin" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def install_release(release: Release, directory: Path) -> None:
    """Unpack a release below `directory` and link its programs into `directory/bin`.

    Raises:
        ProgramError: when it cannot be downloaded, or does not hash to what is pinned.
    """
    archive = directory / "download.part"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        digest = download(release.url, archive)
        if digest != release.sha256:
            raise ProgramError(f"{release.url} has sha256 {digest}, not {release.sha256}: it was not used")
        top = unpack(archive, directory / "releases")[0]
    except (OSError, urllib.error.URLError, tarfile.TarError) as error:
        raise ProgramError(f"{release.url} could not be downloaded: {error}") from error
    finally:
        archive.unlink(missing_ok=True)
    for program in release.programs:
        _link(directory, Path(program).name, directory / "releases" / top / program)


def install_debian_package(program: str, directory: Path) -> None:
    """Unpack the Debian package that holds `program` below `directory` and link its programs into `directory/bin`.

    Raises:
        ProgramError: when the machine has no apt, or the package cannot be downloaded.
    """
    for name, path in unpack_package(program, directory).items():
        _link(directory, name, path)


def ensure(program: str, directory: Path) -> Path:
    """Return the path of `program`, fetched into `directory` when it is nowhere on this machine.

    Raises:
        ProgramError: saying what was tried.
    """
    found = find(program, directory)
    if found:
        return found
    tried = []
    release = find_release(program)
    for install in (
        (lambda: install_release(release, directory)) if release else None,
        lambda: install_debian_package(program, directory),
    ):
        if install is None:
            continue
        try:
            install()
        except ProgramError as error:
            tried.append(str(error))
            continue
        found = find(program, directory)
        if found:
            return found
    raise ProgramError(
        f"{program} is not on PATH and could not be fetched: {'; '.join(tried)}. Install it, or allow the download"
    )


def ensure_all(directory: Path) -> Mapping[str, Path]:
    """Return the paths of all that a stack and its checks need, fetched where they are missing."""
    programs = {name: ensure(name, directory) for name in ("prometheus", "alertmanager")}
    tools = {name: find(name, directory) for name in ("promtool", "amtool")}
    with contextlib.suppress(ProgramError):  # of the long-term store alone: its tests say that they were skipped
        tools["victoria-metrics"] = ensure("victoria-metrics", directory)
    return programs | {name: path for name, path in tools.items() if path}


def main() -> int:
    """Fetch the programs and print the path of each."""
    try:
        for name, path in ensure_all(home()).items():
            show(f"{name}: {path}")
    except ProgramError as error:
        warn(error)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
