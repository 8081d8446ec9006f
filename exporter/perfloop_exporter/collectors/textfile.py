"""Metrics that batch jobs write to files: `*.prom` in the directories of --collector.textfile.directory."""

from __future__ import annotations

import glob
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perfloop_base.exposition import comments, head, valid
from perfloop_exporter.collectors.families import Late, Reading, Sample, Verbatim, gauge, single
from perfloop_exporter.collectors.host import LIMIT, read_bytes
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.collectors.textfile_format import SUFFIXES, Parser, TextFamily
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

MTIME = gauge("node_textfile_mtime_seconds", "When a textfile that could be read was last written.", "file")
ERROR = gauge("node_textfile_scrape_error", "1 if a file could not be opened or read, 0 otherwise.")

# A family of all files together, and the paths of these.
Merged = tuple[TextFamily, list[str]]

log = logging.getLogger(__name__)


class TextFile(NamedTuple):
    """A file as last read: its stamp (modification time in ns, size, inode), its families, or its problem."""

    stamp: tuple[int, int, int]
    families: dict[str, TextFamily]
    problem: str


class TextfileCollector:
    """Exports the files' metrics; an invalid file is left out alone, and read again when it changes."""

    def __init__(self, _host: Host, options: Options) -> None:
        self._directories = [directory for directory in options.text("directory").split("\n") if directory]
        self._known: dict[str, TextFile] = {}
        self._refused: set[str] = set()

    def collect(self) -> list[Late]:
        """Return the families of all files, their modification times, and whether a file is invalid.

        A family that the exporter has itself in this scrape is left out: each has one HELP, one TYPE and one source.
        """
        paths, failed = self._paths()
        self._known = {path: file for path in paths if (file := self._read(path)) is not None}
        families, clash = _merge({path: file for path, file in self._known.items() if not file.problem})
        failed = failed or clash or any(file.problem for file in self._known.values())
        mtimes: list[Sample] = [
            ((path,), file.stamp[0] / 1e9) for path, file in sorted(self._known.items()) if not file.problem
        ]

        def choose(names: frozenset[str]) -> list[Reading | Verbatim]:
            kept = self._without_own(families, names | {MTIME.name, ERROR.name})
            texts = [_text(family, places) for family, places in kept]
            return [*texts, (MTIME, mtimes), single(ERROR, int(failed or len(kept) < len(families)))]

        return [Late(choose)]

    def _without_own(self, families: list[Merged], names: frozenset[str]) -> list[Merged]:
        """Return the families that have no name of the exporter's own; each other one is logged once."""
        taken = set(names)
        kept: list[Merged] = []
        refused: set[str] = set()
        for family, places in families:
            exposed = {family.name, *(family.name + suffix for suffix in SUFFIXES.get(family.kind, ()))}
            if taken.isdisjoint(exposed):
                kept.append((family, places))
                taken |= exposed
                continue
            refused.add(family.name)
            if family.name not in self._refused:
                where = {"metric": family.name, "file": ", ".join(places)}
                log.error("a textfile has a metric that another part of the page has", extra=where)
        self._refused = refused
        return kept

    def _paths(self) -> tuple[list[str], bool]:
        found: list[str] = []
        failed = False
        for directory in self._directories:
            for place in glob.glob(directory) or [directory]:  # noqa: PTH207  # an absolute pattern, which Path.glob refuses
                try:
                    found.extend(str(path) for path in sorted(Path(place).iterdir()) if path.name.endswith(".prom"))
                except OSError as error:
                    log.error("cannot read textfile directory", extra={"directory": place, "err": error.strerror})  # noqa: TRY400  # no trace
                    failed = True
        return found, failed

    def _read(self, path: str) -> TextFile | None:
        try:
            status = os.stat(path)  # noqa: PTH116  # the same call as the read beside it
        except OSError:  # replaced or removed since the directory was listed
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path)
        if known is not None and known.stamp == stamp:
            return known
        try:
            return TextFile(stamp, Parser().read(_read_regular(path, status).decode()), "")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, CollectorError) as error:
            log.error("cannot read textfile", extra={"file": path, "err": str(error)})  # noqa: TRY400  # no trace
            return TextFile(stamp, {}, str(error))


def _read_regular(path: str, status: os.stat_result) -> bytes:
    """Read a file that its writer has finished.

    Raises:
        CollectorError: It is a device or a pipe, which a link may lead to, or too large.
        OSError: It cannot be read.
    """
    # Before it is opened: opening a device can do something, and reading some never ends.
    if not stat.S_ISREG(status.st_mode):
        raise CollectorError("it is not a regular file")
    data = read_bytes(path) if status.st_size < LIMIT else b" " * LIMIT
    if len(data) >= LIMIT:
        raise CollectorError(f"it is larger than {LIMIT} bytes")
    return data


def _merge(files: dict[str, TextFile]) -> tuple[list[Merged], bool]:
    """Merge the files' families by name, each with the paths of its files.

    Returns:
        The merged families, and whether one was left out: its type, help or series conflicts with an earlier file.
    """
    merged: dict[str, Merged] = {}
    clash = False
    for path, file in files.items():
        for name, family in file.families.items():
            first, places = merged.setdefault(name, (TextFamily(name, family.kind, family.help), []))
            if (first.kind, first.help) != (family.kind, family.help) or not set(first.lines).isdisjoint(family.lines):
                clash = True
                continue
            first.lines.extend(family.lines)
            places.append(path)
    return list(merged.values()), clash


def _text(family: TextFamily, places: list[str]) -> Verbatim:
    kind = family.kind or "untyped"
    if family.help is None:
        start = head(family.name, kind, valid(f"Metric read from {', '.join(places)}"))
    else:
        start = comments(family.name, kind, family.help)  # as it stood in the file, escaped already
    return Verbatim(start + "".join(family.lines))


SPEC = Spec(
    "textfile",
    TextfileCollector,
    "metrics that batch jobs write to files",
    (Option("directory", "", "directory of *.prom files; may be a glob, may be repeated", repeats=True),),
)
