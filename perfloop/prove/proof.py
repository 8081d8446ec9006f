"""The outcome of a proof: what was expected and proved, the side effects, and the load beside the original."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop.prove.judge import Effect, Evaluation, compare, judge, significant
from perfloop.prove.sides import WITH, WITHOUT
from perfloop_analyzer.waste import WASTE
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from perfloop.prove.blocks import Block
    from perfloop.prove.traffic import Traffic
    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.recommend import Recommendation

FORMAT = 1
PROVED, REFUTED, UNDECIDED, INVALID = "proved", "refuted", "undecided", "invalid"
SAME_LOAD = 0.05  # how far a route's replayed rate may be from the original's
INDIVISIBLE = 2.0  # requests: one a side
RATIO = "ratio"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SideEffect:
    """What the change does to a signal that it was not meant for."""

    name: str
    title: str
    series: str
    unit: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class RouteLoad:
    """A route's requests per second: as they were, and as they were replayed on both sides together.

    `count` is how many were replayed, `expected` how many the original's rate makes of that time.
    """

    name: str
    original: float
    replayed: float
    count: int
    expected: float
    seconds: float | None
    response_bytes: float | None

    @property
    def is_same(self) -> bool:
        """Whether both differ by no more than SAME_LOAD, or than a rare route can be divided."""
        return abs(self.count - self.expected) <= max(SAME_LOAD * self.expected, INDIVISIBLE)


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything that a proof found; moments in Unix seconds. `own` is the metric's series; None where it has none."""

    recommendation: Recommendation
    signal: Signal
    evaluation: Evaluation
    effect: Effect | None
    side_effects: tuple[SideEffect, ...]
    client: Mapping[str, Effect | None]
    traffic: Traffic
    routes: tuple[RouteLoad, ...]
    blocks: tuple[Block, ...]
    made_at: float
    source: str
    scale: float
    own: Key | None = None

    @property
    def is_inside(self) -> bool | None:
        """Whether the proved gain lies within the expected one's bounds; None where there is none of them."""
        expected = self.recommendation.improvement
        if expected is None or self.effect is None:
            return None
        return expected.low <= self.effect.gain <= max(expected.high, 1.0 if expected.at_least else 0.0)

    def as_record(self) -> dict[str, Any]:
        """Return what the analyzer keeps of it."""
        effect = self.effect
        numbers = {} if effect is None else {"gain": effect.gain, "low": effect.low, "high": effect.high}
        times = (
            {"started": self.blocks[0].end - self.blocks[0].seconds, "ended": self.blocks[-1].end}
            if self.blocks
            else {}
        )
        return {"verdict": self.evaluation.verdict, "words": self.evaluation.words, **numbers, **times}

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        expected = self.recommendation.improvement
        return {
            "format": FORMAT,
            "recommendation": {
                name: getattr(self.recommendation, name) for name in ("id", "title", "service", "state")
            },
            "metric": {"name": self.signal.name, "title": self.signal.label, "unit": self.signal.unit},
            **self.as_record(),
            "expected": expected.as_dict() if expected else None,
            "proved": _effect(self.effect),
            "inside_expected": self.is_inside,
            "side_effects": [
                {"signal": one.name, "title": one.title, "series": one.series, "unit": one.unit, **_effect(one.effect)}
                for one in self.side_effects
            ],
            "client_p95": {name: _effect(effect) for name, effect in self.client.items()},
            "load": {
                "start": self.traffic.start,
                "end": self.traffic.end,
                "rate": self.traffic.rate,
                "concurrency": self.traffic.concurrency,
                "scale": self.scale,
                "requests_from": self.source,
                "routes": [
                    {name: getattr(one, name) for name in RouteLoad.__slots__} | {"is_same": one.is_same}
                    for one in self.routes
                ],
                "tokens": [{name: getattr(one, name) for name in one.__slots__} for one in self.traffic.tokens],
            },
            "blocks": [_block(one) for one in self.blocks],
            "made_at": self.made_at,
        }


def conclude(  # noqa: PLR0913 - each is a part of the outcome
    recommendation: Recommendation,
    catalog: Sequence[Signal],
    traffic: Traffic,
    blocks: Sequence[Block],
    values: Mapping[Key, Sequence[float]],
    *,
    made_at: float,
    source: str,
    scale: float,
) -> Proof:
    """Return the outcome of the blocks that were run.

    Args:
        recommendation: What was proved.
        catalog: The signals.
        traffic: The original load.
        blocks: What was run, in its order.
        values: The value of each signal and series in each block.
        made_at: The present, in Unix seconds.
        source: Where the requests are from, in words.
        scale: What every rate was multiplied by.
    """
    table = {signal.name: signal for signal in catalog}
    signal = table[metric_of(recommendation, table)]
    effects = _effects(values, blocks, table)
    own = _own_series(recommendation, signal, effects)
    expected = recommendation.improvement
    promised = expected.low if expected and expected.metric == signal.name else 0.0
    effect = effects.get(own) if own else None
    routes = _routes(traffic, blocks, scale)
    sides = _side_effects(effects, own, table)
    harm = _what_it_harms(sides, _new(values, blocks, table), table) if recommendation.category == WASTE else None
    return Proof(
        recommendation,
        signal,
        _what_forbids(blocks, routes) or harm or judge(effect, promised),
        effect,
        sides,
        _client(blocks),
        traffic,
        routes,
        tuple(blocks),
        made_at,
        source,
        scale,
        own,
    )


def _effects(
    values: Mapping[Key, Sequence[float]], blocks: Sequence[Block], table: Mapping[str, Signal]
) -> dict[Key, Effect | None]:
    return {
        key: compare(
            _side(values[key], blocks, WITHOUT),
            _side(values[key], blocks, WITH),
            above=table[key[0]].direction == "above",
            ratio=table[key[0]].unit == RATIO,
        )
        for key in values
    }


def _what_forbids(blocks: Sequence[Block], routes: Iterable[RouteLoad]) -> Evaluation | None:
    """Return why nothing can be said whatever was measured; None where nothing forbids it."""
    for block in blocks:
        if block.verdict == INVALID:
            return Evaluation(INVALID, f"the load generator was the limit: {'; '.join(block.reasons)}")
    if off := [one.name for one in routes if not one.is_same]:
        return Evaluation(UNDECIDED, f"the replayed rate of {', '.join(off)} is not the original's")
    return None


def _what_it_harms(sides: Iterable[SideEffect], new: Iterable[str], table: Mapping[str, Signal]) -> Evaluation | None:
    """Return what a smaller size made worse for callers, and what was `new` with it; None where it did no harm."""
    worse = [one for one in sides if one.effect.gain < 0 and table[one.name].kind == "red"]
    words = ", ".join((*(f"{one.title} by {-one.effect.gain:.0%}" for one in worse), *new))
    return Evaluation(REFUTED, f"the smaller size made worse what callers notice: {words}") if words else None


def _new(values: Mapping[Key, Sequence[float]], blocks: Sequence[Block], table: Mapping[str, Signal]) -> Iterator[str]:
    """Yield what callers notice with the change and never did without it: of nothing there is no share."""
    for (name, _), found in values.items():
        signal = table[name]
        without, with_change = ([x for x in _side(found, blocks, side) if math.isfinite(x)] for side in (WITHOUT, WITH))
        if signal.kind != "red" or signal.direction != "above" or not without or not with_change or any(without):
            continue
        mean = sum(with_change) / len(with_change)
        if mean > signal.min_deviation:
            yield f"{signal.label} {quantity(mean, signal.unit)}"


def _side_effects(
    effects: Mapping[Key, Effect | None], own: Key | None, table: Mapping[str, Signal]
) -> tuple[SideEffect, ...]:
    """Return what else moved, the worst first."""
    others = [(key, found) for key, found in effects.items() if found is not None and key != own]
    marked = significant([found for _, found in others])
    sides = [
        SideEffect(key[0], table[key[0]].label, key[1], table[key[0]].unit, found)
        for (key, found), is_one in zip(others, marked, strict=True)
        if is_one
    ]
    return tuple(sorted(sides, key=lambda one: one.effect.gain))


def metric_of(recommendation: Recommendation, table: Mapping[str, Signal]) -> str:
    """Return the signal that a recommendation is to improve; empty where the catalogue has none of them."""
    improvement = recommendation.improvement
    names = (improvement.metric if improvement else "", recommendation.signal)
    return next((name for name in names if name in table), "")


def _own_series(recommendation: Recommendation, signal: Signal, effects: Iterable[Key]) -> Key | None:
    """Return the series of the signal that the recommendation is about."""
    series = sorted(key for key in effects if key[0] == signal.name)
    shown = next((one for one in recommendation.evidence if one.get("signal") == signal.name), {})
    labels = shown.get("labels")
    wanted = {f"{name}={value}" for name, value in labels.items()} if isinstance(labels, dict) else set()
    return max(series, key=lambda key: len(wanted.intersection(key[1].split(","))), default=None)


def _side(values: Sequence[float], blocks: Sequence[Block], side: str) -> list[float]:
    """Return the values of one side, pair by pair."""
    of_pair = {block.pair: value for block, value in zip(blocks, values, strict=True) if block.side == side}
    return [of_pair.get(pair, math.nan) for pair in range(1 + max((block.pair for block in blocks), default=-1))]


def _client(blocks: Sequence[Block]) -> dict[str, Effect | None]:
    names = sorted({name for block in blocks for name in block.p95_seconds})
    found = {}
    for name in names:
        values = [block.p95_seconds.get(name, math.nan) for block in blocks]
        sides = [_side(values, blocks, side) for side in (WITHOUT, WITH)]
        found[name] = compare(sides[0], sides[1], above=True, ratio=False)
    return found


def _routes(traffic: Traffic, blocks: Sequence[Block], scale: float) -> tuple[RouteLoad, ...]:
    seconds = sum(block.seconds for block in blocks) or 1.0
    counts = {route.name: sum(block.requests.get(route.name, 0) for block in blocks) for route in traffic.routes}
    return tuple(
        RouteLoad(
            route.name,
            route.rate * scale,
            counts[route.name] / seconds,
            counts[route.name],
            route.rate * scale * seconds,
            route.seconds,
            route.response_bytes,
        )
        for route in traffic.routes
    )


def _effect(effect: Effect | None) -> dict[str, Any]:
    return {} if effect is None else {name: getattr(effect, name) for name in effect.__slots__}


def _block(block: Block) -> dict[str, Any]:
    return {name: getattr(block, name) for name in ("pair", "side", "start", "end", "seconds", "verdict")} | {
        "requests": dict(block.requests),
        "errors": dict(block.errors),
    }
