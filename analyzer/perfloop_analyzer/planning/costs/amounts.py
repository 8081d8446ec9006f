"""The amounts that cost money, by service: from the answers to what `asked` asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.planning.costs.allocation import UNALLOCATED, Place, allocate, divide
from perfloop_analyzer.series import current, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.planning.asks import Answers
    from perfloop_analyzer.series import Labels
    from perfloop_base.prices import Prices

TOKENS = {"input": "million_tokens_in", "output": "million_tokens_out"}
# What a service serves requests with; others have no price by default where `replica_hour` is given for all.
SERVING = ("cost_requests", "cost_models_served")


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of a priced resource a service has (cores, GiB, replicas, GPUs) or uses up in an hour (GB, tokens).

    Attributes:
        resource: The name of its price.
        name: The GPU's model, or the service of a replica; empty for the others.
    """

    service: str
    resource: str
    amount: float
    name: str = ""


def amounts_of(answers: Answers, prices: Prices) -> tuple[Amount, ...]:
    """Return every amount that is known. Services that are paid by replica take no cores and no memory beside them."""
    return tuple(_amounts(answers, prices))


def _amounts(answers: Answers, prices: Prices) -> Iterator[Amount]:
    replicas = dict(_replicas(answers, prices))
    for service, count in replicas.items():
        yield Amount(service, "replica_hour", count, service)
    for resource, machine, kind in (
        ("core_hour", "cost_machine_cores", "cost_cores"),
        ("memory_gib_hour", "cost_machine_memory", "cost_memory"),
    ):
        taken = taken_of(answers, kind)
        own = {place: amount for place, amount in taken.items() if place[0] not in replicas}
        for service, amount in allocate(read_by(answers, machine, "host"), own).items():
            yield Amount(service, resource, amount)
    for resource, machine in (("disk_gib_month", "cost_machine_disk"), ("moved_out_gb", "cost_machine_sent")):
        for amount in allocate(read_by(answers, machine, "host"), {}).values():
            yield Amount(UNALLOCATED, resource, amount)
    yield from _gpus(answers)
    for (service, kind), amount in read(answers, "cost_tokens_asked", ("service", "gen_ai_token_type")).items():
        if kind in TOKENS:
            yield Amount(service, TOKENS[kind], amount)


def taken_of(answers: Answers, kind: str) -> dict[Place, float]:
    """Return what each service takes on each host: what it has reserved, where that is known, else what it uses."""
    used = read(answers, f"{kind}_used", ("service", "host"))
    reserved = read(answers, f"{kind}_reserved", ("service", "host"))
    certain = {service for service, _ in reserved}
    # By service, not by place: the container and its process may carry different names of one host.
    return {place: amount for place, amount in used.items() if place[0] not in certain} | reserved


def _replicas(answers: Answers, prices: Prices) -> Iterator[tuple[str, float]]:
    serving = {service for name in SERVING for service in read_by(answers, name, "service")}
    for service, count in read_by(answers, "cost_replicas", "service").items():
        if service in prices.replicas or (service in serving and "replica_hour" in prices.amounts):
            yield service, count


def _gpus(answers: Answers) -> Iterator[Amount]:
    counts = read(answers, "cost_machine_gpus", ("host", "name"))
    weights = read(answers, "cost_models_served", ("service", "host"))
    # A machine without this model is known all the same: its services are not put onto another.
    known = dict.fromkeys((*read_by(answers, "cost_machine_cores", "host"), *(host for host, _ in counts)), 0.0)
    for model in sorted({name for _, name in counts}):
        machines = known | {host: count for (host, name), count in counts.items() if name == model}
        for service, amount in divide(machines, weights).items():
            if amount > 0:
                yield Amount(service, "gpu_hour", amount, model)


def read_by(answers: Answers, name: str, label: str) -> dict[str, float]:
    """Return the newest values of an answer by the value of a label; what is negative or no number is left out."""
    found: dict[str, float] = {}
    for (key, _), value in read(answers, name, (label, "")).items():
        found[key] = found.get(key, 0.0) + value
    return found


def read(answers: Answers, name: str, labels: tuple[str, str]) -> dict[tuple[str, str], float]:
    """Return the same by the values of two labels; a label that a series does not have is empty."""
    batch = answers.get(name)
    if batch is None:
        return {}
    first, second = labels
    found: dict[tuple[str, str], float] = {}
    for own, value in zip(batch.labels, current(batch.values), strict=True):
        if math.isfinite(value) and value >= 0:
            key = (_value(own, first), _value(own, second))
            found[key] = found.get(key, 0.0) + float(value)
    return found


def _value(labels: Labels, name: str) -> str:
    return service_of(labels) if name == "service" else labels.get(name, "")
