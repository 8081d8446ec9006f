"""From uses and sizes to recommendations: what to make smaller, what that saves, and what it risks.

They are ordinary recommendations of a category of their own. `values` has, beside what others have, `risk` (a
sentence), `headroom` (the share of the new size that the highest use leaves, None where nothing is left of it),
and `resize`: `from`, `to` and `unit`, and where it has a price `resource`, `amount` and `name` as prices.yml has them,
the amount negative. What that is in money is computed of these as for any other recommendation (recommend.money).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.findings import Severity
from perfloop_analyzer.recommend import Improvement, Recommendation, by_urgency
from perfloop_analyzer.recommend.engine import identify
from perfloop_analyzer.recommend.recommendation import PRIORITIES
from perfloop_analyzer.series import current, service_of
from perfloop_analyzer.waste.kinds import KINDS, Kind, question
from perfloop_analyzer.waste.use import DAY_SECONDS, MOST, WEEK_DAYS, Learned, Use, key_of
from perfloop_base.quantities import quantity, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.series import Batch, Labels
    from perfloop_analyzer.waste.sizing import Need

_HASH = re.compile(r"([0-9a-f]{12})[0-9a-f]{20,}")  # ids of containers are shown as `docker ps` does
WASTE = "waste"  # the category, and the detector of the evidence
LEAST_SIZE = 1e-6  # of anything that is provided: less is no measurement
SOME = 0.8  # of the expected gain: people choose round sizes
SERVES = "request_rate"
REQUIRED = "what its scaling asks for"


@dataclass(frozen=True, slots=True)
class Wasted:
    """The share of one resource of a service that the recommendations would take away."""

    service: str
    resource: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Waste:
    """What was found at one moment, the most urgent first."""

    recommendations: tuple[Recommendation, ...] = ()
    wasted: tuple[Wasted, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What recommendations need beside uses and sizes.

    Attributes:
        at: The moment in Unix seconds.
        catalog: The signals by name.
        capacities: Requests per second that one replica of a service can answer at least, by service.
        least: What a service must have of a resource whatever was used, by service and resource.
        changes: What was changed lately: days before a change may say little of the time after it.
    """

    at: float
    catalog: Mapping[str, Signal]
    capacities: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[tuple[str, str], float] = field(default_factory=dict)
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class _Thing:
    """One thing that has a size: a container, a pool, a disk."""

    kind: Kind
    labels: Labels
    service: str
    size: float
    use: Use
    copies: int = 1

    @property
    def where(self) -> str:
        """Its name and its service, or the service alone where it has no other name."""
        name = _HASH.sub(r"\1", self.labels.get("container", "").rpartition("/")[2])
        return self.service if name in ("", self.service) else f"{name} of {self.service}"


def find_waste(learned: Learned, sizes: Mapping[str, Batch], known: Known) -> Waste:
    """Return what is too large for what was used of it.

    Args:
        learned: The uses, by question.
        sizes: The newest answers to the catalogue's queries, by signal.
        known: What else is known.
    """
    found: dict[str, Recommendation] = {}
    provided: dict[tuple[str, str], float] = {}
    saved: dict[tuple[str, str], float] = {}
    serving = _serving(sizes, known.catalog)
    for thing in (one for kind in KINDS for one in _things(kind, learned, sizes, known, serving)):
        key = (thing.service, thing.kind.resource)
        provided[key] = provided.get(key, 0.0) + thing.size * thing.copies
        if (need := _need(thing, learned, known)) is not None:
            saved[key] = saved.get(key, 0.0) + (thing.size - need.size) * thing.copies
            one = _recommend(thing, need, known)
            found.setdefault(one.id, one)
    wasted = (Wasted(*key, saved.get(key, 0.0) / size) for key, size in provided.items())
    return Waste(by_urgency(_together(found.values())), tuple(wasted))


def _together(found: Iterable[Recommendation]) -> list[Recommendation]:
    """Return what can be done together: fewer replicas need what each of them has."""
    kinds, found = {kind.rule: kind for kind in KINDS}, list(found)
    excluded = {(one.service, rule) for one in found for rule in kinds[one.rule].excludes}
    return [one for one in found if (one.service, one.rule) not in excluded]


def merge_waste(
    recommendations: Sequence[Recommendation], waste: Iterable[Recommendation], findings: Sequence[Finding]
) -> tuple[Recommendation, ...]:
    """Return all recommendations without two that contradict each other, the most urgent first.

    What a service has a finding about, or what could be the reason of it, is not recommended to be made smaller. A
    cache that had no hits for days has no hit ratio to restore.
    """
    kinds = {kind.rule: kind for kind in KINDS}
    kept = {one.id: one for one in recommendations}
    troubled = {(one.service, one.component) for one in findings if one.severity >= Severity.WARNING}
    for one in waste:
        kind, labels = kinds[one.rule], _labels_of(one)
        if any((name, part) in troubled for name in (one.service, service_of(labels)) for part in kind.forbidden_by):
            continue
        replaced = [other for other in recommendations if _replaces(kind, one, other)]
        for other in replaced:
            kept.pop(other.id, None)
        priority = max((one.priority, *(other.priority for other in replaced)), key=PRIORITIES.index)
        kept[one.id] = replace(one, priority=priority)
    return by_urgency(kept.values())


def _replaces(kind: Kind, one: Recommendation, other: Recommendation) -> bool:
    if not kind.replaces or (other.rule, other.service) != (kind.replaces, one.service):
        return False
    own, labels = _labels_of(one), _labels_of(other)
    return all(labels[name] == own.get(name) for name in kind.by if name in labels and name != "service")


def _labels_of(recommendation: Recommendation) -> Mapping[str, str]:
    first = next(iter(recommendation.evidence), {})
    labels = first.get("labels")
    return labels if isinstance(labels, Mapping) else {}


def _serving(sizes: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> frozenset[str]:
    """Return the services that are asked for something."""
    batch, own = sizes.get(SERVES), catalog[SERVES].service if SERVES in catalog else None
    return frozenset(service_of(labels, own) for labels in batch.labels) if batch is not None else frozenset()


def _things(
    kind: Kind, learned: Learned, sizes: Mapping[str, Batch], known: Known, serving: frozenset[str]
) -> Iterator[_Thing]:
    """Yield what has a size and enough days of use."""
    batch, uses = sizes.get(kind.size), learned.get(question(kind), {})
    copies = learned.get(question(kind, kind.copies), {}) if kind.copies else {}
    instead = sizes.get(kind.superseded_by)
    superseded = {key_of(labels, kind.by) for labels in instead.labels} if instead is not None else set()
    if batch is None or kind.size not in known.catalog:
        return
    for labels, size in zip(batch.labels, current(batch.values), strict=True):
        key = key_of(labels, kind.by)
        use = uses.get(key)
        if key in superseded or use is None or not use.is_enough or not LEAST_SIZE <= size <= MOST:
            continue
        container = labels.get("container", "")
        service = container if container in serving else service_of(labels, known.catalog[kind.size].service)
        number = copies.get(key)
        yield _Thing(kind, labels, service, float(size), use, max(1, round(number.mean)) if number else 1)


def _need(thing: _Thing, learned: Learned, known: Known) -> Need | None:
    """Return a size that is enough and worth the change; None where there is none, or something forbids it."""
    kind, key = thing.kind, key_of(thing.labels, thing.kind.by)
    asked = {name: learned.get(question(kind, name), {}).get(key) for name in kind.others}
    others = {name: use for name, use in asked.items() if use is not None}
    if thing.service in known.capacities:
        least = known.capacities[thing.service]
        others["capacity"] = replace(thing.use, usage=replace(thing.use.usage, peak=least))
    need = kind.sizing(thing.use, thing.size, others)
    if isinstance(need, str) or not math.isfinite(need.size):
        return None
    least = known.least.get((thing.service, kind.resource), 0.0)
    if least > need.size:
        need = replace(need, size=least, words=REQUIRED, used=need.used and need.used * need.size / least)
    saved = thing.size - need.size
    is_worth_it = saved >= kind.least_share * thing.size and saved >= kind.least_amount and saved > 0
    return need if is_worth_it else None


def _recommend(thing: _Thing, need: Need, known: Known) -> Recommendation:
    kind, signal = thing.kind, known.catalog[thing.kind.size]
    ratio = 1.0 - need.size / thing.size
    texts = {"service": thing.service, "where": thing.where, **dict.fromkeys(kind.by, "it"), **thing.labels}
    texts |= {"service": thing.service, "new": shown(need.size, signal.unit), "size": shown(thing.size, signal.unit)}
    headroom = _headroom(thing, need)
    return Recommendation(
        id=identify(kind.rule, thing.service, thing.labels),
        rule=kind.rule,
        service=thing.service,
        component=kind.component,
        category=WASTE,
        priority=PRIORITIES[0],
        title=kind.title.format_map(texts),
        action=kind.action.format_map(texts),
        effort=kind.effort,
        cost="none",
        affects=(signal.name,),
        evidence=(_evidence(thing, need, signal, known.at),),
        improvement=Improvement(
            ratio,
            SOME * ratio,
            max(ratio, 1.0 - need.least / thing.size),
            signal.name,
            WASTE,
            _explain(thing, need, signal.unit),
            f"{signal.label} of {thing.where}",
        ),
        created=known.at,
        updated=known.at,
        values={
            "signal": signal.name,
            "parts": [],
            "risk": _risk(thing, need, headroom, known),
            "headroom": headroom,
            "resize": _resize(thing, need, signal.unit),
        },
    )


def _explain(thing: _Thing, need: Need, unit: str) -> str:
    use, size = thing.use, shown(thing.size, unit)
    less = f"{1.0 - need.size / thing.size:.0%} less"
    if need.size <= 0:
        return f"{need.words} in {use.days:.2g} days: nothing is lost with it, {less}"
    of = "cores" if thing.kind.resource == "replicas" else unit
    each = f" in each of {thing.copies} pods" if thing.copies > 1 else ""
    most, high = shown(use.peak, of), shown(use.usage.high, of)
    return (
        f"{size} are provided{each}, {most} were used at most in {use.days:.2g} days, {high} at the 95th percentile: "
        f"{shown(need.size, unit)} are enough ({need.words}), {less}"
    )


def _risk(thing: _Thing, need: Need, headroom: float | None, known: Known) -> str:
    clauses = [f"the highest use leaves {headroom:.0%} of the new size"] if headroom is not None else []
    if thing.use.days < WEEK_DAYS:
        clauses.append(f"{thing.use.days:.2g} days are less than a week: a busier day may not be among them")
    own = [one for one in known.changes if one.service == thing.service and known.at - DAY_SECONDS < one.at <= known.at]
    if own:
        newest = max(own, key=lambda one: one.at)
        clauses.append(f"{newest.title} {span(known.at - newest.at)} ago: the days before may say little of it")
    text = "; ".join((*clauses, *need.risks))
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _headroom(thing: _Thing, need: Need) -> float | None:
    if need.size <= 0:
        return None
    return 1.0 - (thing.use.peak / need.size if need.used is None else need.used)


def _resize(thing: _Thing, need: Need, unit: str) -> dict[str, Any]:
    plain: dict[str, Any] = {"from": thing.size, "to": need.size, "unit": unit}
    plain |= {"copies": thing.copies} if thing.copies > 1 else {}
    if (price := thing.kind.price) is not None:
        amount = -(thing.size - need.size) * thing.copies * price.per_unit
        plain |= {"resource": price.resource, "amount": amount, "name": _priced_as(thing)}
    return plain


def _priced_as(thing: _Thing) -> str:
    name = thing.kind.price.name if thing.kind.price else ""
    return thing.service if name == "service" else thing.labels.get(name, "")


def _evidence(thing: _Thing, need: Need, signal: Signal, at: float) -> dict[str, Any]:
    """Return what a person needs to check it; `before` is the size, `after` the one that is enough."""
    start = at - thing.use.days * DAY_SECONDS
    return {
        "detector": WASTE,
        "signal": signal.name,
        "labels": dict(thing.labels),
        "title": signal.label,
        "expr": signal.expr,
        "start": start,
        "end": at,
        "onset": start,
        "before": thing.size,
        "after": need.size,
        "limit": None,
        "unit": signal.unit,
        "p_value": None,
        "percentile_95": thing.use.usage.high,
        "mean": thing.use.mean,
        "peak": thing.use.peak,
        "growth_per_day": thing.use.growth,
        "days": thing.use.days,
    }


def shown(value: float, unit: str) -> str:
    """Return a size as it is set: bytes in MiB and GiB, as limits and volumes are."""
    if unit != "bytes":
        return quantity(value, unit)
    size, name = (2.0**30, "GiB") if value >= 4 * 2.0**30 else (2.0**20, "MiB")
    return quantity(value / size, name)
