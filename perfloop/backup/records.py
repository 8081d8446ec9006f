"""The record of backups in the stack's directory: when each was made, where it was put, and what it holds."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop.backup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILE = "backups.json"
_KEPT = 50
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One backup.

    Attributes:
        made_at: In Unix seconds.
        path: Where it was when it was written, or verified last.
        contents: The groups of files in it.
    """

    made_at: float
    path: str
    size_bytes: int
    sha256: str
    contents: tuple[str, ...]

    def find_problem(self) -> str:
        """Return why the archive is not what was written; nothing where it is."""
        path = Path(self.path)
        try:
            if not path.is_file():
                return f"the backup {path} is no longer there: whether it was kept is not known"
            if path.stat().st_size != self.size_bytes or digest(path) != self.sha256:
                return f"the backup {path} has changed since it was written"
        except OSError as error:
            return f"the backup {path} cannot be read: {error.strerror}"
        return ""


def digest(path: Path) -> str:
    """Return the sha256 of a file in hex.

    Raises:
        OSError: It cannot be read.
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def read_records(home: Path) -> Sequence[Record]:
    """Return the backups of a stack, the newest first; none where none was ever made.

    Raises:
        BackupError: The record cannot be read, or is damaged.
    """
    path = home / _FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(f"the record of backups {path} cannot be read: {error}") from error
    try:
        records = [_parse(one) for one in json.loads(text)["backups"]]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BackupError(
            f"the record of backups {path} is damaged: remove it, and `perfloop backup verify FILE` records one again"
        ) from error
    return sorted(records, key=lambda one: -one.made_at)


def add_record(home: Path, record: Record) -> None:
    """Keep the record of a backup; one of the same archive is replaced.

    Raises:
        BackupError: The record cannot be read, or is damaged.
        OSError: It cannot be written.
    """
    others = [one for one in read_records(home) if one.sha256 != record.sha256]
    kept = sorted([record, *others], key=lambda one: -one.made_at)[:_KEPT]
    path = home / _FILE
    fresh = path.with_name(f".{_FILE}.{os.getpid()}.new")
    try:
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({"backups": [asdict(one) for one in kept]}, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _parse(one: Any) -> Record:
    contents = tuple(str(name) for name in one["contents"])
    return Record(float(one["made_at"]), str(one["path"]), int(one["size_bytes"]), str(one["sha256"]), contents)
