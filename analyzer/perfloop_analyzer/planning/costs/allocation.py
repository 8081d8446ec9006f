"""Who a machine's resources are for: what each service takes of it, and the rest, which nobody has.

Machines and services are matched by the label `host`. Behind names of containers (Compose) or addresses of pods it does
not match: then the services without a machine are put onto the machines without a service, together. What a machine has
is what is paid for, so that the parts of each machine add up to it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNALLOCATED = "unallocated"
Place = tuple[str, str]  # a service and its host


def allocate(machines: Mapping[str, float], taken: Mapping[Place, float]) -> dict[str, float]:
    """Return how much each service has, and UNALLOCATED.

    Args:
        machines: What each machine has, by host.
        taken: What each service takes on each host, in the same unit.

    On a machine of which more is promised than there is, each service has its share of what there is.
    """
    found: dict[str, float] = defaultdict(float)
    for places, size, is_sure in _groups(machines, taken):
        wanted = sum(taken[place] for place in places)
        # Services whose machine is only guessed may run elsewhere: theirs is not cut.
        scale = size / wanted if is_sure and wanted > size else 1.0
        for place in places:
            found[place[0]] += taken[place] * scale
        if size > wanted:
            found[UNALLOCATED] += size - wanted
    return dict(found)


def divide(machines: Mapping[str, float], weights: Mapping[Place, float]) -> dict[str, float]:
    """Return how much each service has where a machine belongs to its services alone, by their weights, as GPUs do."""
    found: dict[str, float] = defaultdict(float)
    for places, size, _ in _groups(machines, weights):
        weight = sum(weights[place] for place in places)
        for place in places if weight > 0 else ():
            found[place[0]] += size * weights[place] / weight
        if weight <= 0 and size > 0:
            found[UNALLOCATED] += size
    return dict(found)


def _groups(machines: Mapping[str, float], places: Iterable[Place]) -> list[tuple[list[Place], float, bool]]:
    """Return the places that share a size, that size, and whether their machine is known."""
    by_host: dict[str, list[Place]] = defaultdict(list)
    for place in sorted(places):
        by_host[place[1]].append(place)
    groups = [(by_host[host], size, True) for host, size in machines.items() if host in by_host]
    away = [place for host, own in by_host.items() if host not in machines for place in own]
    return [*groups, (away, sum(size for host, size in machines.items() if host not in by_host), False)]
