"""Sets of files written so that each is replaced whole, and none when one cannot be written."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def list_files(directory: Path) -> Iterator[Path]:
    """Yield the path of every file below a directory, from that directory."""
    return (path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file())


def replace_files(root: Path, texts: Mapping[Path, str]) -> None:
    """Write texts below `root`: all are on the disk before the first one takes its place.

    Whoever reads a file meanwhile, a container with the directory mounted among them, finds the old one or the new one.
    """
    fresh: dict[Path, Path] = {}
    try:
        for name, text in texts.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh[path] = path.with_name(f".{path.name}.new")
            fresh[path].write_text(text, encoding="utf-8")
            if path.exists():
                shutil.copymode(path, fresh[path])
        for path, new in fresh.items():
            new.replace(path)
    finally:
        for new in fresh.values():
            with suppress(OSError):
                new.unlink(missing_ok=True)


def move_changed(source: Path, target: Path) -> list[Path]:
    """Make `target` hold exactly the files of `source`, which is used up; return what was written or removed.

    A file that is the same stays untouched, with its time of change.
    """
    wanted, present = set(list_files(source)), set(list_files(target))
    changed = [
        name for name in wanted if name not in present or (source / name).read_bytes() != (target / name).read_bytes()
    ]
    for name in changed:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).replace(target / name)
    gone = sorted(present - wanted)
    for name in gone:
        (target / name).unlink()
    shutil.rmtree(source)
    return sorted(changed) + gone
