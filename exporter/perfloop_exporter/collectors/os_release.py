"""The Linux distribution: /etc/os-release."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, gauge, single
from perfloop_exporter.collectors.host import lines_of
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FIELDS = (
    *("build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name"),
    *("variant", "variant_id", "version", "version_codename", "version_id"),
)
INFO = gauge("node_os_info", "The distribution; always 1.", *FIELDS)
VERSION = gauge("node_os_version", "Major and minor version of the distribution.", "id", "id_like", "name")
SUPPORT_END = gauge("node_os_support_end_timestamp_seconds", "When the distribution's support ends, in unix time.")
FILES = ("etc/os-release", "usr/lib/os-release")
MAJOR_MINOR = re.compile(r"[0-9]+\.?[0-9]*")


def parse_release(text: str, losses: Losses) -> dict[str, str]:
    """Parse the shell assignments of os-release(5), one a line.

    Returns:
        Values by lower-case name; `losses` takes the lines whose quotation is not closed.
    """
    found = {}
    for line in lines_of(text):
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        try:
            found[name.lower()] = " ".join(shlex.split(value, comments=True))
        except ValueError as error:
            losses.note(CollectorError(f"os-release: {name[:40]}: {error}"))
    return found


class OsCollector:
    """Exports name, version and end of support of the distribution."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._text = ""
        self._items: list[Item] = []

    def collect(self) -> list[Item]:
        """Return the file's fields as labels; parsed again when the text has changed."""
        text = self._read()
        if text != self._text:
            losses = Losses()
            self._items = losses.settle(_build_readings(parse_release(text, losses), losses))
            self._text = text
        return self._items

    def _read(self) -> str:
        root = self._host.root.rstrip("/")
        first, second = (f"{root}/{file}" for file in FILES)
        try:
            return self._host.read(first)
        except CollectorError:
            return self._host.read(second)


def _build_readings(release: dict[str, str], losses: Losses) -> list[Reading]:
    readings: list[Reading] = [(INFO, [(tuple(release.get(field, "") for field in FIELDS), 1)])]
    number = MAJOR_MINOR.match(release.get("version_id", ""))
    if number:
        labels = (release.get("id", ""), release.get("id_like", ""), release.get("name", ""))
        readings.append((VERSION, [(labels, float(number[0]))]))
    if release.get("support_end"):
        try:
            end = datetime.strptime(release["support_end"], "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as error:
            losses.note(CollectorError(f"os-release: SUPPORT_END: {error}"))
        else:
            readings.append(single(SUPPORT_END, end.timestamp()))
    return readings


SPEC = Spec("os", OsCollector, "the distribution")
