"""A recommendation: an action with evidence, an expected improvement and a life cycle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.findings import AVAILABILITY

if TYPE_CHECKING:
    from collections.abc import Iterable

PRIORITIES = ("low", "medium", "high", "critical")

# How long the finding of an open recommendation must be absent, while the analyzer looks, to have healed by itself.
HEALED_SECONDS = 120.0

# What becomes of an implemented recommendation: its gain is sure, there is none, something else explains it, its
# trouble was over before the change, or nobody can know.
MEASURED = frozenset({"validated", "refuted", "confounded", "healed", "inconclusive"})
# Each step with the states that it may be taken in and the state that it leads to.
STEPS: Mapping[str, tuple[frozenset[str], str]] = {
    "accept": (frozenset({"open"}), "accepted"),
    # What a change ended is healed before anybody marks the change.
    "implement": (frozenset({"open", "accepted", "healed"}), "implemented"),
    "dismiss": (frozenset({"open", "accepted"}), "dismissed"),
    "reopen": (MEASURED | {"accepted", "implemented", "dismissed", "expired"}, "open"),
    "validate": (frozenset({"implemented"}), "validated"),
    "refute": (frozenset({"implemented"}), "refuted"),
    "confound": (frozenset({"implemented"}), "confounded"),
    "heal": (frozenset({"open", "implemented"}), "healed"),
    "give_up": (frozenset({"implemented"}), "inconclusive"),
}
# The steps that people take; the analyzer takes the others.
PEOPLES_STEPS = ("accept", "implement", "dismiss", "reopen")
EFFORT_STEPS = ("accept", "implement")  # with these a person may say how many hours of work it takes
DECIDING = frozenset({"proved", "refuted"})  # the verdicts of a proof that has a result
# Earlier versions let what healed by itself expire after an hour; a database may hold such ones.
STATES = MEASURED | {"open", "accepted", "implemented", "dismissed", "expired"}
DECIDED = MEASURED | {"accepted", "implemented"}


@dataclass(frozen=True, slots=True)
class Improvement:
    """The expected reduction of a metric.

    Attributes:
        ratio: The share of the metric that goes away, from 0 to 1; `low` and `high` are its bounds.
        metric: The signal that is reduced.
        method: The formula, as rules files name it.
        explanation: The formula's inputs and result in words.
        of: What is reduced, in words: the metric's title, and where it is measured.
        at_least: Whether the metric is cut off at what can be measured, so that more may go away than `high`.
        added: How much of which priced resource it adds, by the name of its price; negative amounts are freed.
    """

    ratio: float
    low: float
    high: float
    metric: str
    method: str
    explanation: str
    of: str = ""
    at_least: bool = False
    added: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; without `added` where no size changes."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "added"}
        return plain | ({"added": dict(self.added)} if self.added else {})


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do, why, what it brings, and its state.

    Attributes:
        evidence: For each finding, what a person needs to check it.
        rivals: Other possible causes of the incident, in words.
        created, updated: Unix seconds.
        values: cause_score, incident, signal and parts, and why there is no expected gain (`unknown_gain`); of waste
            `resize`; of what runs in Kubernetes `patch`; later `stood_until`, `measured`, `saved`, `effort_hours`,
            `proved`, `reason` and `words`. `money` is what it is worth, computed from the prices and never stored.
    """

    id: str
    rule: str
    service: str
    component: str
    category: str
    priority: str
    title: str
    action: str
    effort: str
    cost: str
    affects: tuple[str, ...]
    evidence: tuple[Mapping[str, Any], ...]
    rivals: tuple[str, ...] = ()
    improvement: Improvement | None = None
    state: str = "open"
    created: float = 0.0
    updated: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def signal(self) -> str:
        """The signal whose finding it answers."""
        own = self.values.get("signal")
        known = own if isinstance(own, str) else next((item.get("signal") for item in self.evidence), "")
        return str(known or "")

    @property
    def added(self) -> Mapping[str, float]:
        """How much of which priced resource it adds; negative amounts are freed.

        By the name of its price, and behind a colon the name that has a price of its own: `gpu_hour:A100`.
        """
        resize = self.values.get("resize")
        if isinstance(resize, Mapping) and resize.get("resource"):
            name = f":{resize['name']}" if resize.get("name") else ""
            return read_added({f"{resize['resource']}{name}": resize.get("amount")})
        return self.improvement.added if self.improvement else {}

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the service that stood out, the worst first, each with its value."""
        named = self.values.get("parts", ())
        return tuple(one for one in named if isinstance(one, str)) if isinstance(named, list | tuple) else ()

    @property
    def patch(self) -> tuple[str, ...]:
        """The lines of the patch of an object of Kubernetes; none where there is no such patch."""
        made = self.values.get("patch")
        text = made.get("yaml") if isinstance(made, Mapping) else None
        return tuple(text.splitlines()) if isinstance(text, str) else ()

    @property
    def reason(self) -> str:
        """Why it was concluded as it was; empty before."""
        reason = self.values.get("reason")
        return reason if isinstance(reason, str) and self.state in MEASURED else ""

    @property
    def healed_by_itself(self) -> bool:
        """Whether its trouble ended before anybody acted."""
        return self.state == "healed" and self.values.get("by_itself") is True

    @property
    def proved_gain(self) -> float | None:
        """The gain that a proof found; None where there is none, or it proves nothing."""
        proved = self.values.get("proved")
        gain = proved.get("gain") if isinstance(proved, Mapping) and proved.get("verdict") in DECIDING else None
        return float(gain) if isinstance(gain, int | float) and math.isfinite(gain) else None

    @property
    def proof_spans(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each time in which a proof sent its load, in Unix seconds, the oldest first."""
        proved = self.values.get("proved")
        return read_spans(proved) if isinstance(proved, Mapping) else ()

    @property
    def gain_of(self) -> str:
        """What the expected gain is a share of, in words; empty where no gain could be computed."""
        return (self.improvement.of or self.improvement.metric.replace("_", " ")) if self.improvement else ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "affects": list(self.affects),
            "evidence": [dict(item) for item in self.evidence],
            "rivals": list(self.rivals),
            "improvement": self.improvement.as_dict() if self.improvement else None,
            "values": dict(self.values),
        }


def read_spans(proved: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return the times of every proof that was kept, the oldest first; what is stored may be damaged."""
    earlier = proved.get("earlier")
    pairs = [*(earlier if isinstance(earlier, list) else ()), (proved.get("started"), proved.get("ended"))]
    known = (one for one in pairs if isinstance(one, list | tuple) and len(one) == len(("started", "ended")))
    return tuple((float(a), float(b)) for a, b in known if isinstance(a, int | float) and isinstance(b, int | float))


def healed_values(seen: float) -> dict[str, Any]:
    """Return what is noted of a recommendation whose trouble was last seen then, and ended before anybody acted."""
    moment = datetime.fromtimestamp(seen, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"stood_until": seen, "by_itself": True, "reason": f"last seen {moment}; it ended before anybody acted"}


def by_urgency(recommendations: Iterable[Recommendation]) -> tuple[Recommendation, ...]:
    """Return recommendations in the order in which every program lists them: by priority, then by expected gain.

    Among equals a service that does not answer comes first, since nothing else helps it, then the likelier cause.
    """
    return tuple(sorted(recommendations, key=_urgency))


def _urgency(one: Recommendation) -> tuple[int, float, bool, float, str]:
    gain = one.improvement.ratio if one.improvement else -1.0
    score = one.values.get("cause_score", 0.0)
    likely = float(score) if isinstance(score, int | float) else 0.0
    return -PRIORITIES.index(one.priority), -gain, one.component != AVAILABILITY, -likely, one.id


def from_dict(data: Mapping[str, Any]) -> Recommendation:
    """Return the recommendation of a JSON form.

    Raises:
        TypeError: A field is missing or of another type; it is named.
        ValueError: A field has a value that it cannot have.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"a recommendation is a mapping, not a {type(data).__name__}")
    improvement = data.get("improvement")
    fields = {name: data[name] for name in Recommendation.__slots__ if name in data}
    for name, kinds in _KINDS.items():
        if name in OPTIONAL and name not in data:
            continue
        if not isinstance(data.get(name), kinds) or isinstance(data.get(name), bool):
            raise TypeError(f"field '{name}' is a {type(data.get(name)).__name__}")
    if data["priority"] not in PRIORITIES:
        raise ValueError(f"field 'priority' has value {data['priority']!r}")
    return Recommendation(
        **fields
        | {
            "affects": tuple(str(one) for one in data["affects"]),
            "evidence": tuple(item for item in data["evidence"] if isinstance(item, Mapping)),
            "rivals": tuple(str(one) for one in data.get("rivals", ())),
            "improvement": read_improvement(improvement) if improvement else None,
            "values": _values(data.get("values", {})),
        }
    )


def _values(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values without a measured effect that is none."""
    measured = data.get("measured")
    if measured is None or _is_measured(measured):
        return data
    return {name: value for name, value in data.items() if name != "measured"}


def _is_measured(data: object) -> bool:
    if not isinstance(data, Mapping):
        return False
    numbers = [data.get(name) for name in ("gain", "low", "high")]
    return all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)


def read_improvement(data: Any) -> Improvement:
    """Return the improvement of a JSON form.

    Raises:
        TypeError: It has other fields than an improvement.
        ValueError: A number is none, or is not finite.
    """
    if not isinstance(data, Mapping) or set(data) | _LATER != set(Improvement.__slots__):
        raise TypeError("field 'improvement' has other fields than an improvement")
    ratio, low, high = (float(data[name]) for name in ("ratio", "low", "high"))
    if not all(map(math.isfinite, (ratio, low, high))):
        raise ValueError("field 'improvement' has a number that is not finite")
    metric, method, explanation, of = (str(data.get(name, "")) for name in _WORDS)
    added = read_added(data.get("added"))
    return Improvement(ratio, low, high, metric, method, explanation, of, data.get("at_least") is True, added)


def read_added(data: object) -> dict[str, float]:
    """Return the amounts of a JSON form; nothing where one of them is no number."""
    known = data if isinstance(data, Mapping) else {}
    numbers = [
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in known.values()
    ]
    return {str(name): float(value) for name, value in known.items()} if all(numbers) else {}


_LATER = frozenset({"of", "at_least", "added"})  # an earlier version stored none
_WORDS = ("metric", "method", "explanation", "of")
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("id", "rule", "service", "component", "category", "priority", "title", "action"), str),
    **dict.fromkeys(("effort", "cost", "state"), str),
    **dict.fromkeys(("created", "updated"), (int, float)),
    **dict.fromkeys(("affects", "evidence", "rivals"), (list, tuple)),
    "values": Mapping,
}
OPTIONAL = frozenset({"rivals", "state", "created", "updated", "values"})
