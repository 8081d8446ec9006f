"""Resource limits and usage of the container: control groups, version 1 or 2, under cAdvisor's metric names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors import cgroup_v1, cgroup_v2
from perfloop_exporter.collectors.cgroup_view import FAMILIES, View
from perfloop_exporter.collectors.host import lines_of
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family, Item, LabelValues
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# Bounds the walk over the hierarchy when --collector.cgroup.include is set: a busy node has tens of thousands.
WALK_LIMIT = 2000


def parse_paths(text: str, losses: Losses) -> dict[str, str]:
    """Parse /proc/self/cgroup, whose lines are `ID:CONTROLLERS:PATH` (cgroups(7)).

    Returns:
        The path of the process's group by controller name; the key is empty for version 2. `losses` takes the lines
        that do not have this form.
    """
    paths = {}
    for line in lines_of(text):
        parts = line.split(":", 2)
        if len(parts) != 3 or not parts[2].startswith("/"):  # noqa: PLR2004  # the three parts above
            losses.note(CollectorError(f"/proc/self/cgroup: '{line[:60]}' is not ID:CONTROLLERS:PATH"))
            continue
        for controller in parts[1].split(","):
            paths[controller] = parts[2]
    return paths


class CgroupCollector:
    """Exports the exporter's own group, and the groups whose path matches --collector.cgroup.include."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/fs/cgroup"
        self._include = pattern("cgroup", "include", options.text("include"))

    def collect(self) -> list[Item]:
        """Return limits, usage, throttling, OOM kills and pressure, one sample per group."""
        losses = Losses()
        own = parse_paths(self._host.read_proc("self/cgroup", "surrogateescape"), losses)
        # The `id` label comes from the hierarchy that is read: a kernel may have both versions mounted.
        name = own.get("" if self._unified() else "memory", "/")
        views = {name: self._own(own, losses), **{path: self._other(path, losses) for path in self._chosen(name)}}
        views = {path: view for path, view in views.items() if view}
        if not views and not losses.count:
            raise NoDataError("no readable control group was found")
        return losses.settle(
            [
                (
                    family,
                    [(_labels(family, path), view[family.name]) for path, view in views.items() if family.name in view],
                )
                for family in FAMILIES
            ]
        )

    def _own(self, paths: dict[str, str], losses: Losses) -> View:
        """Read the exporter's own group; in version 1 its path may differ between controllers."""
        if self._unified():
            lineage = _lineage(self._base, self._inside(self._base, paths.get("", "/")))
            return cgroup_v2.read_view(self._host, lineage, losses)
        lineages = {}
        for controller in cgroup_v1.CONTROLLERS:
            root = f"{self._base}/{controller}"
            lineages[controller] = _lineage(root, self._inside(root, paths.get(controller, "/")))
        return cgroup_v1.read_view(self._host, lineages, losses)

    def _other(self, path: str, losses: Losses) -> View:
        if self._unified():
            return cgroup_v2.read_view(self._host, _lineage(self._base, path), losses)
        lineages = {controller: _lineage(f"{self._base}/{controller}", path) for controller in cgroup_v1.CONTROLLERS}
        return cgroup_v1.read_view(self._host, lineages, losses)

    def _unified(self) -> bool:
        return self._host.attribute(f"{self._base}/cgroup.controllers") is not None

    def _inside(self, base: str, path: str) -> str:
        """Return the path below the mount; empty where only the group itself is mounted, as in a container."""
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
        # Depth first, on a list instead of the stack: a hierarchy may be deeper than Python's recursion limit.
        while waiting and len(found) < WALK_LIMIT:
            path = waiting.pop()
            found.append(path or "/")
            waiting.extend(f"{path}/{name}" for name in self._host.directories(f"{base}{path}"))
        return sorted(found)


def _lineage(root: str, path: str) -> list[str]:
    """Return the directories of a group and of the groups above it: a limit on any of these holds for the group."""
    path = path.rstrip("/")
    above = [path[:end] for end, character in enumerate(path) if character == "/"]
    return [f"{root}{place}" for place in (path, *reversed(above))]


def _labels(family: Family, path: str) -> LabelValues:
    return (path, "total") if "cpu" in family.labels else (path,)


SPEC = Spec(
    "cgroup",
    CgroupCollector,
    "limits and use of the container (cgroup v1 and v2)",
    (Option("include", "", "regular expression of the paths of further control groups to export"),),
)
