"""One archive: consistent copies of databases, the other files as they are, and a manifest with a hash of each."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tarfile
import tempfile
import time
import zlib
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from perfloop.backup.contents import DATABASES
from perfloop.backup.errors import BackupError, NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop.backup.contents import Source

FORMAT = 1
MANIFEST = "manifest.json"
_LOCKED_SECONDS = 15.0
_LARGEST_MANIFEST = 16 * 1024**2
_BLOCK = 1 << 20
# What a file that is no archive, or a damaged one, ends in.
_NO_BACKUP = (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, LookupError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, as its manifest has it."""

    name: str
    group: str
    size_bytes: int
    sha256: str


def write_archive(target: Path, sources: Sequence[Source], given: Mapping[str, bytes], made_at: float) -> None:
    """Write an archive that its owner alone may read: whole or not at all.

    Args:
        target: the file to make; it must not exist.
        sources: what goes into it.
        given: the contents of sources that are no files here, by their names in the archive.
        made_at: Unix seconds.

    Raises:
        NotWrittenError: a file cannot be read, or the archive cannot be written.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        with tempfile.TemporaryDirectory(prefix="perfloop-backup-") as scratch:
            staged = [(one, _stage(one, given, Path(scratch) / str(at))) for at, one in enumerate(sources)]
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                _pack(file, staged, made_at)
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            raise NotWrittenError(f"{target} is there already: a backup is never overwritten")
        partial.replace(target)
    except OSError as error:
        raise NotWrittenError(
            f"the backup {target} was not written: {error.filename or target}: {error.strerror}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _stage(source: Source, given: Mapping[str, bytes], target: Path) -> Path:
    """Copy one file to where nothing changes it."""
    if source.name in given:
        target.write_bytes(given[source.name])
    elif source.group in DATABASES:
        copy_database(source.path, target)
    else:
        target.write_bytes(source.path.read_bytes())
    return target


def copy_database(path: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, while programs write to it.

    Raises:
        NotWrittenError: it is locked for too long, or damaged.
    """
    since, left = time.monotonic(), -1

    def watch(_status: int, remaining: int, _total: int) -> None:
        # The backup waits for a lock without an end by itself.
        nonlocal since, left
        if remaining != left:
            since, left = time.monotonic(), remaining
        elif time.monotonic() > since + _LOCKED_SECONDS:
            raise sqlite3.OperationalError(f"it was locked for {_LOCKED_SECONDS:.0f} s")

    try:
        uri = f"file:{quote(str(path))}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy, pages=1000, progress=watch, sleep=0.05)
            found = str(copy.execute("PRAGMA quick_check(1)").fetchone()[0])
        if found != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {found}")
    except sqlite3.Error as error:
        raise NotWrittenError(f"the database {path} cannot be copied: {error}") from error


def _pack(file: Any, staged: Sequence[tuple[Source, Path]], made_at: float) -> None:
    members = [Member(one.name, one.group, path.stat().st_size, _digest(path)) for one, path in staged]
    files = [
        {"name": one.name, "group": one.group, "size_bytes": one.size_bytes, "sha256": one.sha256} for one in members
    ]
    manifest = json.dumps({"format": FORMAT, "made_at": made_at, "files": files}, indent=2).encode()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(_entry(MANIFEST, len(manifest), made_at), BytesIO(manifest))
        for member, (_, path) in zip(members, staged, strict=True):
            with path.open("rb") as content:
                archive.addfile(_entry(member.name, member.size_bytes, made_at), content)


def _entry(name: str, size: int, made_at: float) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(made_at)
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds; `made_at` is in Unix seconds."""

    made_at: float
    members: tuple[Member, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of files, each once."""
        return tuple(dict.fromkeys(one.group for one in self.members))


def unpack(path: Path, target: Path | None = None) -> Manifest:
    """Read an archive through and check every hash; with `target`, write each file below that directory.

    Raises:
        BackupError: it is no backup, of a newer version, or damaged.
    """
    try:
        with tarfile.open(path, mode="r|gz") as archive:
            entries = iter(archive)
            manifest = _read_manifest(archive, next(entries, None), path)
            expected = {one.name: one for one in manifest.members}
            for entry in entries:
                member = expected.pop(entry.name, None)
                if member is None or not entry.isreg():
                    raise BackupError(f"{path} is damaged: {entry.name} is not in its manifest")
                _check_member(archive, entry, member, target)
    except _NO_BACKUP as error:
        raise BackupError(f"{path} cannot be read as a backup: {error}") from error
    if expected:
        raise BackupError(f"{path} is damaged: {next(iter(expected))} is missing")
    return manifest


def _read_manifest(archive: tarfile.TarFile, entry: tarfile.TarInfo | None, path: Path) -> Manifest:
    content = archive.extractfile(entry) if entry is not None and entry.name == MANIFEST else None
    if entry is None or content is None or entry.size > _LARGEST_MANIFEST:
        raise BackupError(f"{path} is no backup of Perfloop: it does not begin with its manifest")
    found = json.loads(content.read())
    if found["format"] != FORMAT:
        raise BackupError(f"{path} is of format {found['format']!r}, which this version does not know")
    members = tuple(
        Member(str(one["name"]), str(one["group"]), int(one["size_bytes"]), str(one["sha256"]))
        for one in found["files"]
    )
    for member in members:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise BackupError(f"{path} is no backup of Perfloop: {member.name!r} leads out of its directory")
    return Manifest(float(found["made_at"]), members)


def _check_member(archive: tarfile.TarFile, entry: tarfile.TarInfo, member: Member, target: Path | None) -> None:
    content = archive.extractfile(entry)
    found, size = hashlib.sha256(), 0
    place = _open(target / member.name) if target else None
    try:
        for block in _blocks(content):
            found.update(block)
            size += len(block)
            if place is not None:
                place.write(block)
    finally:
        if place is not None:
            place.close()
    if found.hexdigest() != member.sha256 or size != member.size_bytes:
        raise BackupError(f"{archive.name!r} is damaged: {member.name} is not what was written")


def _open(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _blocks(content: Any) -> Iterator[bytes]:
    while block := content.read(_BLOCK):
        yield block
