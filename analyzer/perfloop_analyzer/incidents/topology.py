"""Which component can affect which: within a service, and between services where calls are known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perfloop_analyzer.documents import read_document
from perfloop_analyzer.findings import AVAILABILITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from perfloop_analyzer.series import Batch

# A component on the left can be slowed by those on the right.
COMPONENTS: Mapping[str, frozenset[str]] = {
    "api": frozenset(
        {
            *("database", "cache", "model", "vector", "storage", "cpu", "memory", "disk", "network", "gpu"),
            *("pods", "scaling", "mesh"),
        }
    ),
    "database": frozenset({"cache", "cpu", "memory", "disk", "network"}),
    "vector": frozenset({"cpu", "memory", "disk", "network"}),
    "model": frozenset({"gpu", "cpu", "memory"}),
    "cache": frozenset({"cpu", "memory", "network"}),
    "storage": frozenset({"disk", "network", "cpu"}),
    "cpu": frozenset({"memory"}),
    "disk": frozenset({"memory"}),
    # What is killed, cannot be placed or cannot have its volume does not run.
    "pods": frozenset({"memory", "cpu", "disk"}),
    "scaling": frozenset({"cpu"}),
    "mesh": frozenset({"cpu", "memory", "pods"}),
}

CALLER, CALLED = "caller", "called"  # the labels of a series that counts the calls between two services

MACHINE = frozenset({"cpu", "memory", "disk", "network", "gpu"})


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    calls: list[str] = Field(default_factory=list)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    services: list[_Call]
    hosts: dict[str, list[str]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """The calls between services, and the services of each host; empty where unknown."""

    calls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def depends(self, effect: tuple[str, str], cause: tuple[str, str]) -> bool:
        """Return whether a problem of `cause`, a (service, component), can affect `effect`."""
        (service, component), (other, resource) = effect, cause
        if service == other:
            if resource == AVAILABILITY:
                return component != AVAILABILITY
            return resource in COMPONENTS.get(component, frozenset())
        if resource in MACHINE and self._shares(service, other):
            return resource == component or resource in COMPONENTS.get(component, frozenset())
        return other in self.calls.get(service, frozenset()) and component == "api"

    def learn(self, batches: Iterable[Batch]) -> Topology:
        """Return the topology with the calls that were measured; a caller of the file keeps the calls of the file.

        Every series with the labels CALLER and CALLED that has a rate anywhere in the window is a call: those that fail
        may have ended.
        """
        learned: dict[str, set[str]] = {}
        for batch in batches:
            if not is_calls(batch):
                continue
            for row in np.flatnonzero((batch.values > 0).any(axis=1)):
                caller, called = batch.labels[row].get(CALLER), batch.labels[row].get(CALLED)
                if caller and called and caller != called:
                    learned.setdefault(caller, set()).add(called)
        if not learned:
            return self
        return replace(self, calls={**{one: frozenset(called) for one, called in learned.items()}, **self.calls})

    def knows(self, service: str) -> bool:
        """Return whether a service is in the call graph."""
        return service in self.calls or any(service in called for called in self.calls.values())

    def _shares(self, service: str, host: str) -> bool:
        """Return whether a service runs on a host; without a map every service runs on the machine named `host`."""
        return service in self.hosts[host] if host in self.hosts else host == "host"


def is_calls(batch: Batch) -> bool:
    """Return whether the series of a batch are calls between services, not measures of one."""
    return bool(len(batch)) and CALLED in batch.labels[0]


def read_topology(path: Path | None) -> Topology:
    """Read `services: [{service, calls}]` and `hosts: {host: [services]}`; without a file both are unknown.

    Raises:
        ConfigError: With every problem of the file.
    """
    if path is None:
        return Topology()
    file = read_document(_File, path)
    return Topology(
        {entry.service: frozenset(entry.calls) for entry in file.services},
        {host: frozenset(services) for host, services in file.hosts.items()},
    )
