"""The one schema and reader of `prices.yml`: what the resources cost of which services are made.

No price ships as if it were true: without the file no money is published. Dataclasses and located.py, no pydantic: see
there.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, Field, Money, parse_located, read_located, suggest
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOURS_A_MONTH = 730.0  # 365 days of 24 hours by 12, as the price lists of clouds have it
REDUCTION = 0.25  # the goal where the file gives none
CURRENCY_PATTERN = "[A-Z]{3}"
PER_MONTH = frozenset({"disk_gib_month"})  # the resources whose price is for a month; that of the others for an hour

PRICE_FIELDS = (
    Field(
        name="replica_hour",
        kind="money",
        required=False,
        about="one replica of a service for an hour, where replicas are what is paid for, in place of cores and memory",
    ),
    Field(name="core_hour", kind="money", required=False, about="one core for an hour"),
    Field(name="memory_gib_hour", kind="money", required=False, about="one GiB of memory for an hour"),
    Field(name="disk_gib_month", kind="money", required=False, about="one GiB of disk for a month"),
    Field(name="gpu_hour", kind="money", required=False, about="one GPU for an hour, where `gpus` has no other price"),
    Field(name="moved_out_gb", kind="money", required=False, about="one GB sent out"),
    Field(name="million_tokens_in", kind="money", required=False, about="a million tokens sent to a model"),
    Field(name="million_tokens_out", kind="money", required=False, about="a million tokens that a model generated"),
)
RESOURCES = tuple(one.name for one in PRICE_FIELDS)
GOAL_FIELDS = (
    Field(
        name="reduction",
        kind="number",
        required=False,
        default=REDUCTION,
        about="the share of the cost that is to be saved, between 0 and 1",
    ),
    Field(
        name="since",
        kind="moment",
        required=False,
        about="the day with whose cost today's is compared; without it, when the first recommendation was accepted",
    ),
)
FILE_FIELDS = (
    Field(name="currency", about="the currency of every price: a code of ISO 4217 such as EUR"),
    Field(name="prices", kind="mapping", required=False, about="the price of each resource"),
    Field(name="gpus", kind="mapping", required=False, about="the price of one GPU for an hour, by its model's name"),
    Field(
        name="replicas",
        kind="mapping",
        required=False,
        about="the price of one replica for an hour, by service, in place of the price of its cores and memory",
    ),
    Field(name="effort_hour", kind="money", required=False, about="what an hour of a person's work costs"),
    Field(
        name="budget_hour", kind="money", required=False, about="what everything may cost in an hour before an alert"
    ),
    Field(name="goal", kind="mapping", required=False, about="how much is to be saved, and compared with when"),
)
PRICED = ("prices", "gpus", "replicas")


class Goal(NamedTuple):
    """The share of the cost that is to be saved, and the moment in Unix seconds with whose cost it is compared."""

    reduction: float = REDUCTION
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """The whole file; money is in `currency`.

    Attributes:
        amounts: The price of each resource of RESOURCES that has one.
        gpus: The price of one GPU for an hour, by its model's name.
        replicas: The price of one replica for an hour, by service.
        effort_hour: What an hour of a person's work costs; None where it is not given.
        budget_hour: What everything may cost in an hour; None where it is not given.
    """

    currency: str
    amounts: Mapping[str, float]
    gpus: Mapping[str, float] = field(default_factory=dict)
    replicas: Mapping[str, float] = field(default_factory=dict)
    effort_hour: float | None = None
    budget_hour: float | None = None
    goal: Goal = field(default_factory=Goal)

    def price(self, resource: str, name: str = "") -> float | None:
        """Return the price of one unit of a resource; None where the file has none.

        Args:
            resource: One of RESOURCES.
            name: The GPU's model or the replica's service, where they have a price of their own.

        Raises:
            ValueError: There is no such resource.
        """
        if resource not in RESOURCES:
            raise ValueError(f"{brief(resource)} is not a resource with a price; {suggest(resource, RESOURCES)}")
        own = {"gpu_hour": self.gpus, "replica_hour": self.replicas}.get(resource, {})
        return own.get(name, self.amounts.get(resource))

    def cost(self, resource: str, amount: float, name: str = "") -> float | None:
        """Return what an amount costs, in the unit of the price: core hours, GiB months, GB, million tokens.

        None where there is no price or no amount. A negative amount is what is saved.

        Raises:
            ValueError: There is no such resource.
        """
        price = self.price(resource, name)
        money = math.nan if price is None else price * amount
        return money if math.isfinite(money) else None

    def per_hour(self, resource: str, amount: float, name: str = "") -> float | None:
        """Return what it costs in an hour to have an amount (cores, GiB, replicas, GPUs), or to use it up each hour.

        Raises:
            ValueError: There is no such resource.
        """
        return self.cost(resource, amount / HOURS_A_MONTH if resource in PER_MONTH else amount, name)

    def per_month(self, resource: str, amount: float, name: str = "") -> float | None:
        """Return the same for a month of 730 hours.

        Raises:
            ValueError: There is no such resource.
        """
        hour = self.per_hour(resource, amount, name)
        return None if hour is None else hour * HOURS_A_MONTH


def read_prices(path: Path, shown_as: str | None = None) -> Prices:
    """Read and check the file; `shown_as` is its name in problems, by default its path from the current directory.

    Raises:
        ConfigError: with every problem of the file, one sentence each: `file:line: …`.
    """
    return _check(read_located(path, [], shown_as))


def parse_prices(text: str, shown_as: str) -> Prices:
    """Do the same with the text of a file.

    Raises:
        ConfigError: with every problem of the text.
    """
    return _check(parse_located(text, shown_as, []))


def _check(root: Entry) -> Prices:
    values = root.read(FILE_FIELDS, "the file")
    currency = values["currency"] or ""
    if currency and not re.fullmatch(CURRENCY_PATTERN, currency):
        root.report(
            f"currency has the value {brief(currency)}; it must be a code of ISO 4217 such as EUR or USD.", "currency"
        )
        currency = ""
    none = Entry(root.file, root.line, root.problems)
    own = {name: values[name] or none for name in PRICED}
    prices = Prices(
        currency,
        _amounts(own["prices"], own["prices"].read(PRICE_FIELDS, "prices"), "prices", currency),
        _amounts(own["gpus"], _by_name(own["gpus"], "gpus"), "gpus", currency),
        _amounts(own["replicas"], _by_name(own["replicas"], "replicas"), "replicas", currency),
        **_amounts(root, {name: values[name] for name in ("effort_hour", "budget_hour")}, "the file", currency),
        goal=_read_goal(values["goal"] or none),
    )
    if not (prices.amounts or prices.gpus or prices.replicas or root.problems):
        root.report("no price is given; without one nothing has a cost.", "prices")
    if root.problems:
        raise ConfigError(root.problems)
    return prices


def _by_name(entry: Entry, what: str) -> dict[str, Money | None]:
    if "" in entry:
        entry.report(f"{what}: a name is empty; {what} are named as their series name them.", "")
    return entry.read([Field(name=name, about="", kind="money", required=False) for name in entry], what)


def _amounts(entry: Entry, values: Mapping[str, Money | None], what: str, currency: str) -> dict[str, float]:
    """Return the amounts that are given; report a name without one, and one in another currency."""
    found = {}
    for name, money in values.items():
        if name in entry and entry[name] is None:
            entry.report(f"{what}: {brief(name)} has no amount; write one, or leave the line out.", name)
        if money is None:
            continue
        if money.currency and currency and money.currency != currency:
            entry.report(
                f"{what}: {brief(name)} has the value {brief(entry[name])}, and the currency is {currency}; a file has "
                "one currency.",
                name,
            )
        found[name] = money.amount
    return found


def _read_goal(entry: Entry) -> Goal:
    values = entry.read(GOAL_FIELDS, "goal")
    if not 0 < values["reduction"] < 1:
        entry.report(
            f"goal: reduction has the value {brief(entry['reduction'])}; it must lie between 0 and 1.", "reduction"
        )
    return Goal(values["reduction"], values["since"])
