"""Unpacking an archive that came from outside: nothing lands beside its directory, and nothing without end.

Its own check, since Debian 12's Python has no extraction filters; where there is one, `data` is applied as well. An
archive that breaks a rule leaves nothing behind: it is unpacked into a directory of its own, which is then moved.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

# Grafana, the largest of what is unpacked, has 11,000 files and 700 MB.
MOST_BYTES = 4 << 30
MOST_MEMBERS = 200_000
_FILTERS = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


class HostileArchiveError(tarfile.TarError):
    """An archive holds what no program that the stack uses does: the member and the rule."""


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root)


def _refuse(member: tarfile.TarInfo, rule: str) -> HostileArchiveError:
    return HostileArchiveError(f"{member.name!a} {rule}: nothing was unpacked")


def _require_harmless(member: tarfile.TarInfo, root: Path) -> None:
    """Check one member against what was unpacked before it: a link must not lead out, nor a path through one.

    Raises:
        HostileArchiveError: naming the member and the rule.
    """
    place = root / member.name
    if member.name.startswith("/") or ".." in Path(member.name).parts:
        raise _refuse(member, "is not a path below the archive's own directory")
    if place != root and not _is_inside(place.parent, root):  # a member may be `.`
        raise _refuse(member, "goes through a link that leads out")
    if member.issym() or member.islnk():
        target = (place.parent if member.issym() else root) / member.linkname
        if member.linkname.startswith("/") or not _is_inside(target, root):
            raise _refuse(member, "is a link that leads out")
    elif not (member.isfile() or member.isdir()):
        raise _refuse(member, "is neither a file, nor a directory, nor a link")


def _bounded(tar: tarfile.TarFile, most_bytes: int, most_members: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members while they are within bounds; a member's size stands before its content.

    Raises:
        HostileArchiveError: before the content of the member that is too much.
    """
    size = 0
    for count, member in enumerate(tar, start=1):
        size += max(0, member.size)
        if size > most_bytes:
            raise _refuse(member, f"makes the archive larger than {most_bytes} bytes")
        if count > most_members:
            raise _refuse(member, f"is one more than {most_members} members")
        yield member


def _without_power(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member owned by whoever unpacks it, not set-user-id, and writable by its owner alone."""
    member.mode = (member.mode & 0o755) | (stat.S_IRWXU if member.isdir() else stat.S_IRUSR | stat.S_IWUSR)
    member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
    return member


def _in_its_own_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member with an absolute link made a relative one to the same place below the archive's root."""
    if member.issym() and member.linkname.startswith("/"):
        depth = len(PurePosixPath(member.name.lstrip("/")).parent.parts)
        member.linkname = "../" * depth + member.linkname.lstrip("/")
    return member


def unpack(
    archive: Path | IO[bytes],
    directory: Path,
    *,
    absolute_links: bool = False,
    most_bytes: int = MOST_BYTES,
    most_members: int = MOST_MEMBERS,
) -> list[str]:
    """Unpack a tar archive of any compression into `directory`, over what is there, and return its topmost names.

    Args:
        archive: its path, or a stream of it.
        directory: made where it is missing.
        absolute_links: whether links to absolute paths lead to the archive's own root, as a Debian package means them.
        most_bytes: the size of all content together.
        most_members: the number of files, directories and links.

    Raises:
        HostileArchiveError: naming the member and the rule it breaks; `directory` is as it was.
        tarfile.TarError: when it is no archive.
        OSError: when it cannot be read or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=directory) as fresh:
        root = Path(fresh).resolve()
        try:
            with (
                tarfile.open(archive) if isinstance(archive, Path) else tarfile.open(fileobj=archive, mode="r|*") as tar
            ):
                for member in _bounded(tar, most_bytes, most_members):
                    own = _without_power(_in_its_own_root(member) if absolute_links else member)
                    _require_harmless(own, root)
                    tar.extract(own, root, **_FILTERS)  # type: ignore[arg-type]
        except (EOFError, ValueError, RuntimeError, lzma.LZMAError, zlib.error) as error:  # tarfile lets these through
            raise HostileArchiveError(f"it is broken: {error}") from error
        names = sorted(child.name for child in root.iterdir())
        for name in names:
            _move(root / name, directory / name)
    return names


def _move(source: Path, target: Path) -> None:
    """Move a tree over another: what both have is replaced, what only the target has stays."""
    if source.is_dir() and not source.is_symlink() and target.is_dir() and not target.is_symlink():
        for child in source.iterdir():
            _move(child, target / child.name)
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)
