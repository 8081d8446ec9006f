"""`perfloop backup create`, `list`, `verify`, `restore`: what each does."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx

from perfloop.backup import contents
from perfloop.backup.archive import unpack, write_archive
from perfloop.backup.errors import BackupError, NotWrittenError
from perfloop.backup.records import Record, add_record, digest, read_records
from perfloop.backup.restore import describe, restore
from perfloop.stack.docker import DockerStack
from perfloop.stack.errors import BusyError
from perfloop.stack.native import NativeStack
from perfloop.stack.settings import current_settings
from perfloop_base.home import make_private
from perfloop_base.quantities import quantity
from perfloop_base.terminal import show

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfloop.stack.settings import Settings

_ANSWER_SECONDS = 10.0
_ANALYZER_IN_DOCKER = "/data/analyzer.sqlite"


def create(target: Path, *, with_secrets: bool) -> None:
    """Write a backup and record it.

    Args:
        target: a directory that is there, or the file to make.
        with_secrets: whether the files of secrets/ and `.env` go into it.

    Raises:
        NotWrittenError: it cannot be written there.
        StackError: a container does not answer.
    """
    settings, now = current_settings(), time.time()
    make_private(settings.home.absolute())
    docker = _running_in_docker(settings)
    groups = contents.find_contents(settings, in_docker=docker is not None)
    sources = [one for group in groups.values() for one in group]
    if with_secrets:
        sources += contents.find_secrets(settings).values()
    if not sources:
        raise NotWrittenError(f"there is nothing to back up in {settings.home} and {settings.directory}")
    path = _name(target, now, settings)
    write_archive(path, sources, _fetch(settings, docker) if docker else {}, now)
    record = Record(
        now, str(path), path.stat().st_size, digest(path), tuple(dict.fromkeys(one.group for one in sources))
    )
    add_record(settings.home, record)
    show(f"{path} ({quantity(record.size_bytes, 'bytes')}) holds {', '.join(record.contents)}")
    left_out = [] if with_secrets else list(contents.find_secrets(settings))
    if left_out:
        show(f"left out: {', '.join(left_out)}, unless --with-secrets is given")
    for sentence in contents.find_unreachable():
        show(f"left out: {sentence}")


def _name(target: Path, now: float, settings: Settings) -> Path:
    """Return the file to make.

    Raises:
        NotWrittenError: it is there already, or would be lost with what it is a backup of.
    """
    target = target.expanduser().absolute()
    name = f"perfloop-backup-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    path = target / f"{name}.tar.gz" if target.is_dir() else target
    number = 1
    while target.is_dir() and path.exists():
        number += 1
        path = target / f"{name}-{number}.tar.gz"
    if not path.parent.is_dir():
        raise NotWrittenError(f"{path.parent} is no directory: make it first, on another disk or machine")
    if path.exists():
        raise NotWrittenError(f"{path} is there already: a backup is never overwritten")
    if path.resolve().is_relative_to(settings.home.resolve()):
        raise NotWrittenError(f"{path} is in {settings.home}, which it is a backup of: give another place")
    return path


def _running_in_docker(settings: Settings) -> DockerStack | None:
    if NativeStack(settings).find_running() is not None or not DockerStack.exists():
        return None
    docker = DockerStack(settings, {**settings.environment, **os.environ})
    return docker if docker.running() else None


def _fetch(settings: Settings, docker: DockerStack) -> Mapping[str, bytes]:
    """Return what is in containers: the analyzer's database, and the silences as Alertmanager's API has them."""
    try:
        silences = httpx.get(
            f"{settings.url('alertmanager')}/api/v2/silences", timeout=_ANSWER_SECONDS, trust_env=False
        ).raise_for_status()
    except httpx.HTTPError as error:
        raise NotWrittenError(f"the silences cannot be read: Alertmanager does not answer: {error}") from error
    return {
        contents.ANALYZER_FILE: docker.copy_database("analyzer", _ANALYZER_IN_DOCKER),
        f"{contents.SILENCES_FILE}.json": silences.content,
    }


def list_backups() -> None:
    """Show every backup that is recorded, the newest first, and what is wrong with it."""
    records = read_records(current_settings().home)
    for one in records:
        moment = f"{datetime.fromtimestamp(one.made_at, UTC):%Y-%m-%d %H:%M}Z"
        found = one.find_problem() or ", ".join(one.contents)
        show(f"{moment}  {quantity(one.size_bytes, 'bytes')}  {one.path}: {found}")
    if not records:
        show("no backup was made")


def verify(path: Path) -> None:
    """Read a backup through and record that it is there.

    Raises:
        BackupError: it is none, or damaged.
    """
    settings = current_settings()
    path = path.expanduser().absolute()
    manifest = unpack(path)
    make_private(settings.home.absolute())
    record = Record(manifest.made_at, str(path), path.stat().st_size, digest(path), manifest.groups)
    add_record(settings.home, record)
    show(f"{path} is whole: {len(manifest.members)} files, {describe(manifest)}")


def bring_back(path: Path, *, replace: bool) -> None:
    """Put the files of a backup where they belong.

    Raises:
        BusyError: the stack runs.
        BackupError: the archive is none, or files are in the way.
    """
    settings = current_settings()
    if NativeStack(settings).find_running() is not None or _running_in_docker(settings) is not None:
        raise BusyError(f"the stack runs in {settings.home}: `perfloop down` first")
    if not path.expanduser().is_file():
        raise BackupError(f"{path} is no file")
    places = restore(path.expanduser(), settings, replace=replace, now=time.time())
    for name, place in places.items():
        show(f"{name}: {place}")
    show("Next: `perfloop up`")
