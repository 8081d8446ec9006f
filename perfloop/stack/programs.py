"""The real programs: found, else downloaded as the pinned release, else unpacked from the Debian package.

`python -m perfloop.stack.programs` fetches what a native stack and the tests need, and prints where each is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack.debian import unpack_package
from perfloop.stack.errors import ProgramError
from perfloop.stack.releases import Release, find_release
from perfloop_base.shipped import shipped_root

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = shipped_root()
_DOWNLOAD_TIMEOUT_SECONDS = 10  # per read: a closed network answers at once or never


def home() -> Path:
    """Return the folder where a run leaves everything: `PERFLOOP_HOME`, else `.perfloop` in the checkout."""
    return Path(os.environ.get("PERFLOOP_HOME") or CHECKOUT / ".perfloop").resolve()


def find(name: str, folder: Path | None = None) -> Path | None:
    """Return the program's path, or None where it is not to be had without a download.

    A program on PATH wins; then `bin/` of `folder` (default: `home()`), then `.perfloop/bin` of the checkout.
    """
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    candidates = [(folder or home()) / "bin" / name, CHECKOUT / ".perfloop" / "bin" / name]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def find_grafana(folder: Path) -> Path | None:
    """Return Grafana's server: `grafana` since 9.4, `grafana-server` before."""
    return find("grafana", folder) or find("grafana-server", folder)


def download(url: str, target: Path) -> str:
    """Download `url` to `target` and return the sha256 of what came, in hex."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_SECONDS) as answer, target.open("wb") as file:  # noqa: S310 - pinned https
        while block := answer.read(1 << 20):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _link(folder: Path, name: str, target: Path) -> None:
    link = folder / "bin" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def install_release(release: Release, folder: Path) -> None:
    """Unpack a release below `folder` and link its programs into `folder/bin`.

    Raises:
        ProgramError: when it cannot be downloaded, or does not hash to what is pinned.
    """
    archive = folder / "download.part"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        digest = download(release.url, archive)
        if digest != release.sha256:
            message = f"{release.url} has sha256 {digest}, not {release.sha256}: it was not used"
            raise ProgramError(message)
        with tarfile.open(archive) as tar:
            top = tar.getnames()[0].split("/")[0]
            # Debian 12's Python has no filters yet; what is unpacked there was checked against its digest just above.
            filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder / "releases", **filters)  # type: ignore[arg-type]  # noqa: S202 - its digest is pinned
    except (OSError, urllib.error.URLError, tarfile.TarError) as error:
        message = f"{release.url} could not be downloaded: {error}"
        raise ProgramError(message) from error
    finally:
        archive.unlink(missing_ok=True)
    for program in release.programs:
        _link(folder, Path(program).name, folder / "releases" / top / program)


def install_debian_package(program: str, folder: Path) -> None:
    """Unpack the Debian package that holds `program` below `folder` and link its programs into `folder/bin`.

    Raises:
        ProgramError: when the machine has no apt, or the package is not to be had.
    """
    for name, path in unpack_package(program, folder).items():
        _link(folder, name, path)


def ensure(program: str, folder: Path) -> Path:
    """Return the path of `program`, fetched into `folder` when it is nowhere on this machine.

    Raises:
        ProgramError: saying what was tried.
    """
    found = find(program, folder)
    if found:
        return found
    tried = []
    release = find_release(program)
    for install in (
        (lambda: install_release(release, folder)) if release else None,
        lambda: install_debian_package(program, folder),
    ):
        if install is None:
            continue
        try:
            install()
        except ProgramError as error:
            tried.append(str(error))
            continue
        found = find(program, folder)
        if found:
            return found
    message = (
        f"{program} is not on PATH and could not be fetched: {'; '.join(tried)}. Install it, or allow the download"
    )
    raise ProgramError(message)


def ensure_all(folder: Path) -> Mapping[str, Path]:
    """Return the paths of all that a stack and its checks need, fetched where they are missing."""
    programs = {name: ensure(name, folder) for name in ("prometheus", "alertmanager")}
    tools = {name: find(name, folder) for name in ("promtool", "amtool")}
    return programs | {name: path for name, path in tools.items() if path}


def main() -> int:
    """Fetch the programs and print the path of each."""
    try:
        for name, path in ensure_all(home()).items():
            sys.stdout.write(f"{name}: {path}\n")
    except ProgramError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
