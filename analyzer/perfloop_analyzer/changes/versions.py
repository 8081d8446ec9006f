"""Deployments: a version, revision or image of something that another one was running of before.

Any `*_info` series says it, by its labels `version`, `revision` or `image`. Instances and pods are added up, so that an
update that replaces them one by one is one change, when the first of them is there.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfloop_analyzer.changes.record import Change, Kind, seen
from perfloop_analyzer.changes.rows import Row, rows_of
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from perfloop_analyzer.series import Batch, Labels

_OWNER = ("__name__", "job", "namespace", "service", "name", "container")
_VERSION = ("version", "revision", "image")
# The images of containers in pods are of their workloads: see rollouts. The other info series of kube-state-metrics are
# about what it watches, and none is a version of itself.
QUERY = f'group by ({", ".join((*_OWNER, *_VERSION))}) ({{__name__=~".+_info",__name__!~"kube_.+"}})'
# A version that was away for so many points, while another one ran, is a new one: it was rolled back.
AWAY_POINTS = 4
SHOWN_OF_REVISION = 12
# The names of series that say the version of the service itself, and not of what it is built with.
_OF_ITSELF = ("build_info", "target_info", "service_info", "app_info", "application_info", "kube_pod_container_info")


def find_deployments(batch: Batch | None) -> Iterator[Change]:
    """Yield the versions that appeared while, or just after, another one of the same thing was there."""
    owners: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows_of(batch):
        if any(row.labels.get(label) for label in _VERSION):
            owners[tuple(row.labels.get(label, "") for label in _OWNER)].append(row)
    for rows in owners.values():
        for row in rows if len(rows) > 1 else ():
            yield from _appearances(row, [other for other in rows if other is not row])


def _appearances(row: Row, others: Sequence[Row]) -> Iterator[Change]:
    there = set(row.index)
    for place, index in enumerate(row.index):
        before = range(index - AWAY_POINTS, index)
        if index == 0 or there.intersection(before):
            continue
        old = [other for other in others if set(other.index).intersection(before)]
        if old:
            at, labels = float(row.times[place]), row.labels
            yield seen(Kind.DEPLOYMENT, _service(labels), _title(labels, [one.labels for one in old]), at)


def _service(labels: Labels) -> str:
    # The series of kube-state-metrics are about the container, not about who exposes them.
    return labels.get("container") or service_of(labels)


def _title(labels: Labels, old: Sequence[Labels]) -> str:
    differs = next((label for label in _VERSION if labels.get(label) and _has_other(label, labels, old)), "version")
    new = _shown(differs, labels)
    was = sorted({_shown(differs, one) for one in old} - {new, ""})
    came = f"went from {was[0]} to {new}" if len(was) == 1 else f"went to {new}"
    subject = labels.get("__name__", "").removesuffix("_info").removesuffix("_build")
    is_itself = labels.get("__name__", "").endswith(_OF_ITSELF) or subject in ("", _service(labels))
    return came if is_itself else f"{subject} {came}"


def _has_other(label: str, labels: Labels, old: Iterable[Mapping[str, str]]) -> bool:
    return any(one.get(label, "") != labels.get(label) for one in old)


def _shown(label: str, labels: Mapping[str, str]) -> str:
    value = labels.get(label, "")
    if label == "revision":
        return value[:SHOWN_OF_REVISION]
    # Of an image the tag is what changes; its registry's path is long.
    return value.rsplit("/", 1)[-1] if label == "image" else value
