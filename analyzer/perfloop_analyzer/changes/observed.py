"""The changes that Prometheus shows, over the last twenty minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.changes import load_tests, reloads, rollouts, scale, starts, versions
from perfloop_analyzer.changes.record import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.series import Batch

# On moments that are multiples of the step, so that a change that is seen again is seen at the same moment.
STEP_SECONDS, POINTS = 15.0, 81
TOGETHER_SECONDS = 120.0
CHANGE_QUERIES: Mapping[str, str] = {
    "change/versions": versions.QUERY,
    "change/starts": starts.QUERY,
    "change/instances": scale.INSTANCES,
    "change/replicas": scale.REPLICAS,
    "change/reloads": reloads.QUERY,
    "change/images": rollouts.IMAGES,
    "change/templates": rollouts.TEMPLATES,
    "change/generations": rollouts.GENERATIONS,
    "change/restarts": rollouts.RESTARTS,
    "change/reasons": rollouts.REASONS,
    "change/bounds": rollouts.BOUNDS,
    "change/runs": load_tests.RUNS,
    "change/phases": load_tests.PHASES,
}
# What one of these explains of the same service is no change of its own: processes start when a version is deployed.
_EXPLAINS: Mapping[str, tuple[str, ...]] = {
    Kind.RESTART: (Kind.DEPLOYMENT, Kind.SCALE),
    Kind.SCALE: (Kind.DEPLOYMENT,),
    Kind.CONFIGURATION: (Kind.RESTART, Kind.DEPLOYMENT),
    Kind.DEPLOYMENT: (Kind.DEPLOYMENT,),
}


def observe(batches: Mapping[str, Batch]) -> tuple[Change, ...]:
    """Return the changes that the answers to CHANGE_QUERIES show, oldest first; what was not answered shows none."""
    found = [
        *versions.find_deployments(batches.get("change/versions")),
        *starts.find_starts(batches.get("change/starts")),
        *scale.find_scaling(batches.get("change/instances"), batches.get("change/replicas")),
        *rollouts.find_rollouts(*(batches.get(f"change/{name}") for name in ("images", "templates", "generations"))),
        *rollouts.find_restarts(batches.get("change/restarts"), batches.get("change/reasons")),
        *rollouts.find_bounds(batches.get("change/bounds")),
        *reloads.find_reloads(batches.get("change/reloads")),
        *load_tests.find_load_tests(batches.get("change/runs"), batches.get("change/phases")),
    ]
    # The version of a service itself comes before that of what it is built with: its title is the shorter one.
    ordered = sorted(found, key=lambda one: (one.at, len(one.title), one.title))
    return tuple(one for place, one in enumerate(ordered) if not _is_explained(one, place, ordered))


def _is_explained(one: Change, place: int, others: Sequence[Change]) -> bool:
    return any(
        other.service == one.service
        and other.kind in _EXPLAINS.get(one.kind, ())
        and abs(other.at - one.at) <= TOGETHER_SECONDS
        and (other.kind != one.kind or at < place)
        for at, other in enumerate(others)
        if at != place
    )
