"""What the container may use and what it uses: its control group, version 1 or 2, under cAdvisor's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors import cgroup_v1, cgroup_v2
from perfloop_exporter.collectors.cgroup_view import FAMILIES, View
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family, LabelValues, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# Folders that are looked through for groups that the option chooses.
WALK_LIMIT = 2000


def parse_paths(text: str) -> dict[str, str]:
    """The path of the process by controller; version 2 is the empty name. Lines are `ID:CONTROLLERS:PATH`."""
    paths = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3 or not parts[2].startswith("/"):  # noqa: PLR2004  # the three parts above
            raise CollectorError(f"/proc/self/cgroup: '{line[:60]}' is not a control group")
        for controller in parts[1].split(","):
            paths[controller] = parts[2]
    return paths


class CgroupCollector:
    """Tells the exporter's own group, and those that the option chooses."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/fs/cgroup"
        self._include = pattern("cgroup", "include", options.text("include"))

    def collect(self) -> list[Reading]:
        """Limits, use, throttling, kills and pressure, one sample per group."""
        own = parse_paths(self._host.read_proc("self/cgroup"))
        # Only the hierarchy that is read gives the name: a kernel may have both.
        name = own.get("" if self._unified() else "memory", "/")
        views = {name: self._own(own), **{path: self._other(path) for path in self._chosen(name)}}
        views = {path: view for path, view in views.items() if view}
        if not views:
            raise NoDataError("no control group tells anything here")
        return [
            (
                family,
                [(_labels(family, path), view[family.name]) for path, view in views.items() if family.name in view],
            )
            for family in FAMILIES
        ]

    def _own(self, paths: dict[str, str]) -> View:
        """The exporter's own group; with version 1 each controller may have put it elsewhere."""
        if self._unified():
            return cgroup_v2.read_view(self._host, self._base + self._inside(self._base, paths.get("", "/")))
        folders = {}
        for controller in cgroup_v1.CONTROLLERS:
            root = f"{self._base}/{controller}"
            folders[controller] = root + self._inside(root, paths.get(controller, "/"))
        return cgroup_v1.read_view(self._host, folders)

    def _other(self, path: str) -> View:
        if self._unified():
            return cgroup_v2.read_view(self._host, self._base + path)
        folders = {controller: f"{self._base}/{controller}{path}" for controller in cgroup_v1.CONTROLLERS}
        return cgroup_v1.read_view(self._host, folders)

    def _unified(self) -> bool:
        return self._host.attribute(f"{self._base}/cgroup.controllers") is not None

    def _inside(self, base: str, path: str) -> str:
        """The path below the mount; where only the group itself is mounted, as in a container, that is the root."""
        path = path.rstrip("/")
        return path if self._host.attribute(f"{base}{path}/cgroup.procs") is not None else ""

    def _chosen(self, own: str) -> list[str]:
        if self._include is None:
            return []
        return [path for path in self._walk() if path != own and self._include.search(path)]

    def _walk(self) -> list[str]:
        base = self._base if self._unified() else f"{self._base}/memory"
        found: list[str] = []
        waiting = [""]
        while waiting and len(found) < WALK_LIMIT:
            path = waiting.pop()
            found.append(path or "/")
            waiting.extend(f"{path}/{name}" for name in self._host.folders(f"{base}{path}"))
        return sorted(found)


def _labels(family: Family, path: str) -> LabelValues:
    return (path, "total") if "cpu" in family.labels else (path,)


SPEC = Spec(
    "cgroup",
    CgroupCollector,
    "limits and use of the container (cgroup v1 and v2)",
    (Option("include", "", "regular expression of other control groups to tell about, by path"),),
)
