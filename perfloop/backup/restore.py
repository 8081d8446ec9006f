"""Where each file of an archive belongs, and putting it there: nothing that is there is lost."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.backup import contents
from perfloop.backup.archive import unpack
from perfloop.backup.errors import BackupError
from perfloop_base.home import make_private

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop.backup.archive import Manifest, Member
    from perfloop.stack.settings import Settings

# What SQLite keeps beside a database: those of another one would damage it.
_COMPANIONS = ("", "-journal", "-wal", "-shm")
# https://www.sqlite.org/fileformat.html: the file change counter, version-valid-for and the writing library's version.
_SQLITE, _COUNTERS = b"SQLite format 3\0", ((24, 28), (92, 100))


def restore(path: Path, settings: Settings, *, replace: bool, now: float) -> Mapping[str, Path]:
    """Put every file of an archive where it belongs and return where each is now, by its name in the archive.

    Args:
        path: the archive, which is read through before anything is written.
        settings: the stack that gets the files; it must not run.
        replace: whether files that differ are moved aside; else they are an error.
        now: Unix seconds, for the names of what is moved aside.

    Raises:
        BackupError: the archive is none, or files are in the way; nothing was changed then.
        OSError: a file cannot be written.
    """
    make_private(settings.home.absolute())
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.home) as scratch:
        manifest = unpack(path, Path(scratch))
        places = {one.name: _place(one, settings) for one in manifest.members}
        in_the_way = [
            place for name, place in places.items() if place.exists() and not _same(place, Path(scratch) / name)
        ]
        if in_the_way and not replace:
            more = f" and {len(in_the_way) - 3} more" if len(in_the_way) > 3 else ""  # noqa: PLR2004 - as many are shown
            shown = ", ".join(map(str, in_the_way[:3]))
            raise BackupError(f"{shown}{more} differ from the backup: --replace moves what is there aside")
        for place in in_the_way:
            _move_aside(place, now)
        for name, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not place.exists():
                _put(Path(scratch) / name, place)
    return places


def _place(member: Member, settings: Settings) -> Path:
    home = settings.home.absolute()
    if member.group == contents.LOAD_TESTS:
        return contents.find_runs(home)
    if member.name.startswith(contents.SECRETS):
        return settings.secrets / member.name.removeprefix(contents.SECRETS)
    if member.group == contents.ENVIRONMENT:
        return settings.directory / contents.ENVIRONMENT
    if member.group == contents.CONFIGURATION:
        # What came with an installed wheel is never written: there the configuration goes where `init` would put it.
        root = settings.configuration if settings.is_editable else settings.directory
        return root / member.name.removeprefix(f"{contents.CONFIGURATION}/")
    return home / member.name


def _same(one: Path, other: Path) -> bool:
    if not one.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return _content(one) == _content(other)


def _content(path: Path) -> bytes:
    """Return what a file holds; of a database without the counters of changes, of which every copy has its own."""
    content = bytearray(path.read_bytes())
    if content.startswith(_SQLITE):
        for start, end in _COUNTERS:
            content[start:end] = bytes(end - start)
    return bytes(content)


def _move_aside(place: Path, now: float) -> None:
    moment = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    for ending in _COMPANIONS:
        file = place.with_name(place.name + ending)
        if file.exists():
            file.rename(file.with_name(f"{file.name}.before-restore-{moment}"))


def _put(source: Path, place: Path) -> None:
    """Copy a file, which may go to another disk, so that it is there whole or not at all."""
    fresh = place.with_name(f".{place.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(source.read_bytes())
    fresh.replace(place)


def describe(manifest: Manifest) -> str:
    """Return what an archive holds in words."""
    return ", ".join(manifest.groups) or "nothing"
