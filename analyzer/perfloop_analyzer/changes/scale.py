"""Scale: another number of instances of a service, or of replicas that Kubernetes was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.changes.record import Change, Kind, seen
from perfloop_analyzer.changes.rows import Row, Step, rows_of, steps_of
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.series import Batch

INSTANCES = 'count by (job, service) (up{job!="loadgen"})'
REPLICAS = (
    "max by (namespace, workload, deployment, statefulset) (label_replace(label_replace("
    '{__name__=~"kube_deployment_spec_replicas|kube_statefulset_replicas"}, '
    '"workload", "$1", "deployment", "(.+)"), "workload", "$1", "statefulset", "(.+)"))'
)
TOGETHER_SECONDS = 120.0  # steps within this time are one change
HELD_POINTS = 2


def find_scaling(instances: Batch | None, replicas: Batch | None) -> Iterator[Change]:
    """Yield each other number that held; what was back after a moment was none."""
    for row in rows_of(instances):
        yield from _changes(row, service_of(row.labels), "instances")
    for row in rows_of(replicas):
        named = row.labels.get("service") if row.labels.get("workload") else ""
        owner = named or row.labels.get("deployment") or row.labels.get("statefulset") or service_of(row.labels)
        yield from _changes(row, owner, "replicas")


def _changes(row: Row, service: str, unit: str) -> Iterator[Change]:
    for first, last in _runs(row):
        held = int((row.times > last.old_time).sum()) >= HELD_POINTS
        if held and first.before != last.after:
            title = f"from {first.before:g} to {last.after:g} {unit}"
            yield seen(Kind.SCALE, service, title, first.new_time)


def _runs(row: Row) -> Iterator[tuple[Step, Step]]:
    """Yield the first and the last step of steps that belong together."""
    run: list[Step] = []
    for step in steps_of(row):
        if run and step.new_time - run[-1].new_time > TOGETHER_SECONDS:
            yield run[0], run[-1]
            run = []
        run.append(step)
    if run:
        yield run[0], run[-1]
