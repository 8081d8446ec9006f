"""What batch jobs left in files: `*.prom` in the folders of the option."""

from __future__ import annotations

import glob
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Reading, Sample, Verbatim, escape_help, gauge, single
from perfloop_exporter.collectors.host import read_bytes
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.collectors.textfile_format import Parser, TextFamily
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

MTIME = gauge("node_textfile_mtime_seconds", "When a textfile that could be read was last written.", "file")
ERROR = gauge("node_textfile_scrape_error", "1 if a file could not be opened or read, 0 otherwise.")

log = logging.getLogger("exporter.textfile")


class TextFile(NamedTuple):
    """A file as it was when it was last read."""

    stamp: tuple[int, int, int]
    families: dict[str, TextFamily]
    problem: str


class TextfileCollector:
    """Tells what the files hold; a bad file costs itself, not the others, and is read again when it changes."""

    def __init__(self, _host: Host, options: Options) -> None:
        self._folders = [folder for folder in options.text("directory").split("\n") if folder]
        self._known: dict[str, TextFile] = {}

    def collect(self) -> list[Reading | Verbatim]:
        """The families of all files, then when the files were written and whether one is bad."""
        paths, failed = self._paths()
        self._known = {path: file for path in paths if (file := self._read(path)) is not None}
        families, clash = _merge({path: file for path, file in self._known.items() if not file.problem})
        failed = failed or clash or any(file.problem for file in self._known.values())
        mtimes: list[Sample] = [
            ((path,), file.stamp[0] / 1e9) for path, file in sorted(self._known.items()) if not file.problem
        ]
        return [*(_text(family, places) for family, places in families), (MTIME, mtimes), single(ERROR, int(failed))]

    def _paths(self) -> tuple[list[str], bool]:
        found: list[str] = []
        failed = False
        for folder in self._folders:
            for place in glob.glob(folder) or [folder]:  # noqa: PTH207  # an absolute pattern, which Path.glob refuses
                try:
                    found.extend(str(path) for path in sorted(Path(place).iterdir()) if path.name.endswith(".prom"))
                except OSError as error:
                    log.error("cannot read the folder of textfiles", extra={"folder": place, "why": error.strerror})  # noqa: TRY400  # no trace
                    failed = True
        return found, failed

    def _read(self, path: str) -> TextFile | None:
        try:
            status = os.stat(path)  # noqa: PTH116  # the same call as the read beside it
        except OSError:  # replaced or removed since the folder was listed
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path)
        if known is not None and known.stamp == stamp:
            return known
        try:
            return TextFile(stamp, Parser().read(read_bytes(path).decode()), "")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, CollectorError) as error:
            log.error("cannot read a textfile", extra={"file": path, "why": str(error)})  # noqa: TRY400  # no trace
            return TextFile(stamp, {}, str(error))


def _merge(files: dict[str, TextFile]) -> tuple[list[tuple[TextFamily, list[str]]], bool]:
    """The families by name with the files that hold them; one that contradicts an earlier file is left out."""
    merged: dict[str, tuple[TextFamily, list[str]]] = {}
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
    help_ = family.help if family.help is not None else escape_help(f"Metric read from {', '.join(places)}")
    head = f"# HELP {family.name} {help_}\n# TYPE {family.name} {family.kind or 'untyped'}\n"
    return Verbatim(head + "".join(family.lines))


SPEC = Spec(
    "textfile",
    TextfileCollector,
    "metrics that batch jobs left in files",
    (Option("directory", "", "folder with *.prom files; a glob, and may be repeated", repeats=True),),
)
