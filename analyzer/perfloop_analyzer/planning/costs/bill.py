"""What each service costs in an hour, what a thousand requests and a million tokens cost, and what failures cost.

Every figure is of now: the amounts of the last five minutes by the prices in use. A figure whose input is missing is
missing, and a note says why.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.planning.costs.allocation import UNALLOCATED
from perfloop_analyzer.planning.costs.amounts import Amount, amounts_of, read, read_by
from perfloop_analyzer.planning.costs.asked import WINDOW_SECONDS
from perfloop_analyzer.planning.figures import Figure
from perfloop_base.quantities import quantity
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_analyzer.planning.asks import Answers
    from perfloop_analyzer.planning.situation import Situation
    from perfloop_base.prices import Prices

NO_PRICES = (
    "No cost is known: no prices are given; put a prices.yml beside thresholds.yml, as examples/prices.yml has it."
)
NO_AMOUNTS = "No cost is known: nothing that has a price was seen within the last minutes."
HOUR_SECONDS = 3600.0
SLO_HOURS = 720.0  # the 30 days of an objective
# Below so many events in the window the rate, and a cost per event with it, is a matter of luck: a Poisson count of 30
# has bounds of -33 and +43 %.
LEAST_EVENTS = 30.0
# By the name of its price: the resource's name on the wire, and what an amount of it is called.
RESOURCES = {
    "replica_hour": ("replicas", "replicas"),
    "core_hour": ("cpu", "cores"),
    "memory_gib_hour": ("memory", "GiB of memory"),
    "disk_gib_month": ("disk", "GiB of disk"),
    "gpu_hour": ("gpu", "GPUs"),
    "moved_out_gb": ("network", "GB sent in an hour"),
    "million_tokens_in": ("tokens", "million tokens in, in an hour"),
    "million_tokens_out": ("tokens", "million tokens out, in an hour"),
}


@dataclass(frozen=True, slots=True)
class BudgetCost:
    """What an objective's bad events of its 30 days cost, and what those that it allows would, in the currency."""

    slo: str
    spent: float
    allowed: float


@dataclass(frozen=True, slots=True)
class ServiceCost:
    """What one service costs, in `currency`.

    Attributes:
        per_hour: By resource, as the label `resource` has it.
        thousand_requests, million_tokens: Everything that the service costs, by what it answers; None where it answers
            too little.
        budgets: The error budget of each objective in money.
    """

    currency: str
    per_hour: Mapping[str, float]
    thousand_requests: float | None = None
    million_tokens: float | None = None
    budgets: tuple[BudgetCost, ...] = ()

    @property
    def total(self) -> float:
        """What it costs in an hour."""
        return sum(self.per_hour.values())

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "currency": self.currency,
            "per_hour": self.total,
            "resources": dict(self.per_hour),
            "per_thousand_requests": self.thousand_requests,
            "per_million_tokens": self.million_tokens,
            "error_budgets": {one.slo: {"spent": one.spent, "allowed": one.allowed} for one in self.budgets},
        }

    def figures(self, service: str) -> Iterator[Figure]:
        """Yield nothing: the bill yields what is published of every service, those without requests among them."""
        del service
        return iter(())

    def samples(self, service: str) -> Iterator[Figure]:
        """Yield what is published of it."""
        for resource, money in self.per_hour.items():
            yield Figure("cost_per_hour", {"service": service, "resource": resource}, money)
        if self.thousand_requests is not None:
            yield Figure("cost_per_thousand_requests", {"service": service}, self.thousand_requests)
        if self.million_tokens is not None:
            yield Figure("cost_per_million_tokens", {"service": service}, self.million_tokens)
        for one in self.budgets:
            labels = {"service": service, "slo": one.slo}
            yield Figure("error_budget_cost", {**labels, "part": "spent"}, one.spent)
            yield Figure("error_budget_cost", {**labels, "part": "allowed"}, one.allowed)


@dataclass(frozen=True, slots=True)
class Bill:
    """What everything costs in an hour, by service, UNALLOCATED among them, and what has no price.

    Attributes:
        budget: What everything may cost in an hour; None where the prices have none.
        replicas: What one replica has reserved costs in an hour, by service, where its limits are known.
        notes: One sentence for each amount without a price, by service; those of no service under "".
    """

    currency: str
    services: Mapping[str, ServiceCost]
    budget: float | None = None
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    replicas: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """What everything costs in an hour."""
        return sum(one.total for one in self.services.values())

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "currency": self.currency,
            "per_hour": self.total,
            "budget_per_hour": self.budget,
            "services": {service: one.as_dict() for service, one in self.services.items()},
            "notes": list(self.notes.get("", ())),
        }

    def figures(self) -> Iterator[Figure]:
        """Yield what is published of it."""
        yield Figure("price_info", {"currency": self.currency}, 1.0)
        if self.budget is not None:
            yield Figure("cost_budget_per_hour", {}, self.budget)
        for service, one in self.services.items():
            yield from one.samples(service)


def bill_of(situation: Situation) -> tuple[Bill | None, tuple[str, ...]]:
    """Return what everything costs, and why that is not known or not whole, one sentence each."""
    if situation.prices is None:
        return None, (NO_PRICES,)
    bill = make_bill(situation.answers, situation.prices)
    if bill is None:
        return None, (NO_AMOUNTS,)
    return bill, bill.notes.get("", ())


def make_bill(answers: Answers, prices: Prices) -> Bill | None:
    """Return what everything costs now; None where no amount with a price is known."""
    amounts = amounts_of(answers, prices)
    money, unpriced = _priced(amounts, prices)
    if not money:
        return None
    notes = {service: [_without_price(service, one) for one in left] for service, left in unpriced.items()}
    services = {}
    for service, per_hour in money.items():
        cost = ServiceCost(prices.currency, per_hour)
        if service != UNALLOCATED:
            cost, missing = _per_unit(answers, service, cost)
            notes.setdefault(service, []).extend(missing)
        services[service] = cost
    known = set(money) | set(read_by(answers, "cost_replicas", "service"))
    strangers = sorted(set(prices.replicas) - known)
    notes[""] = [*notes.pop(UNALLOCATED, []), *map(_stranger, strangers)]
    kept = {service: tuple(left) for service, left in notes.items() if left}
    return Bill(prices.currency, services, prices.budget_hour, kept, dict(_reserved_by_replica(answers, prices)))


def price_replicas(prices: Prices, bill: Bill | None) -> Prices:
    """Return prices in which a replica without a price of its own costs what it has reserved."""
    if bill is None or "replica_hour" in prices.amounts:
        return prices
    return replace(prices, replicas={**bill.replicas, **prices.replicas})


def _reserved_by_replica(answers: Answers, prices: Prices) -> Iterator[tuple[str, float]]:
    counts = read_by(answers, "cost_replicas", "service")
    reserved = {
        "core_hour": read_by(answers, "cost_cores_reserved", "service"),
        "memory_gib_hour": read_by(answers, "cost_memory_reserved", "service"),
    }
    for service, count in counts.items():
        costs = [prices.per_hour(name, own[service]) for name, own in reserved.items() if service in own]
        known = [cost for cost in costs if cost is not None]
        if known and count >= 1:
            yield service, sum(known) / count


def _priced(amounts: Sequence[Amount], prices: Prices) -> tuple[dict[str, dict[str, float]], dict[str, list[Amount]]]:
    """Return the money in an hour by service and resource, and the amounts without a price by service."""
    money: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    unpriced: dict[str, list[Amount]] = defaultdict(list)
    for one in amounts:
        cost = prices.per_hour(one.resource, one.amount, one.name)
        if cost is not None:
            money[one.service][RESOURCES[one.resource][0]] += cost
        elif one.amount > 0:
            unpriced[one.service].append(one)
    return {service: dict(own) for service, own in money.items()}, unpriced


def _without_price(service: str, one: Amount) -> str:
    amount = quantity(one.amount, RESOURCES[one.resource][1])
    named = f" ({visible(one.name)})" if one.resource == "gpu_hour" else ""
    whose = "that no service has" if service == UNALLOCATED else f"of {visible(service)}"
    return f"prices.yml has no {one.resource}: {amount}{named} {whose} are in no cost."


def _stranger(service: str) -> str:
    return f"prices.yml has a price for a replica of {visible(service)}, and no service of that name is seen."


def _per_unit(answers: Answers, service: str, cost: ServiceCost) -> tuple[ServiceCost, list[str]]:
    """Return the cost with what it is by request, by token and by failure, and why one of these is missing."""
    rates, notes = {}, []
    for what, name, words in (("r", "cost_requests", "requests"), ("t", "cost_tokens", "tokens")):
        rate = _rate(answers, service, name)
        if rate is None:
            continue
        if rate * WINDOW_SECONDS < LEAST_EVENTS:
            seen = quantity(rate * WINDOW_SECONDS, words)
            notes.append(f"{visible(service)} had {seen} in five minutes: too few for a cost of each.")
            continue
        rates[what] = rate
    per_second = cost.total / HOUR_SECONDS
    return (
        ServiceCost(
            cost.currency,
            cost.per_hour,
            per_second / rates["r"] * 1e3 if "r" in rates else None,
            per_second / rates["t"] * 1e6 if "t" in rates else None,
            tuple(_budgets(answers, service, cost.total)),
        ),
        notes,
    )


def _rate(answers: Answers, service: str, name: str) -> float | None:
    """Return how many requests or tokens in a second the service answers; of tokens else how many it asks for."""
    if name == "cost_requests":
        return read_by(answers, name, "service").get(service)
    served = read_by(answers, "cost_tokens_served", "service").get(service)
    if served is not None:
        return served
    asked = read_by(answers, "cost_tokens_asked", "service").get(service)
    return None if asked is None else asked * 1e6 / HOUR_SECONDS


def _budgets(answers: Answers, service: str, per_hour: float) -> Iterator[BudgetCost]:
    """Yield the money that went into events which broke their objective: every event costs the same.

    spent = cost of an hour x hours with data x share of bad events; allowed = cost of an hour x 720 x (1 - objective).
    """
    objectives = read(answers, "cost_slo_objectives", ("service", "slo"))
    hours = read(answers, "cost_slo_seconds", ("service", "slo"))
    for (owner, slo), share in sorted(read(answers, "cost_slo_errors", ("service", "slo")).items()):
        key = (owner, slo)
        if owner == service and key in objectives and key in hours:
            spent = per_hour * hours[key] / HOUR_SECONDS * min(share, 1.0)
            yield BudgetCost(slo, spent, per_hour * SLO_HOURS * (1 - objectives[key]))
