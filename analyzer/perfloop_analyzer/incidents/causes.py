"""Ranking the possible causes of one incident.

The candidates are the (service, component) pairs of the incident's findings. A candidate's score is its robust
deviation, halved for each JOIN_SECONDS that it began after the first, and reduced to a third when another candidate
that it depends on explains it: the root cause is the deviating node without a deviating callee (Hardt et al., "The
PetShop dataset", CLeaR 2024). For a pair seen from both sides, as a resource (use) and by its callers (red), the two
sides are added (the conjunction of PRISM). Scores are normalized to add up to 1. A service that does not answer comes
before everything else that is measured of it.

Where the calls between services are known, the walk from the incident's symptom (`walk`) adds the services on its way
that moved in the symptom's measure, whether or not a detector reported them, and says how far their callees explain
each; what the walk does not reach counts a third.

The robust deviation is BARO's RobustScorer (Pham et al., FSE 2024): d = (post - median(reference)) / IQR(reference),
signed so that worse is positive. Three changes. `post` is the mean of the three worst points rather than the maximum,
so that one outlier does not decide. The IQR has a floor (a tenth of the level, or the signal's minimum deviation),
because a flat baseline near zero would outrank every cause. And d is divided by what the series reaches by itself (the
95th percentile of the same statistic over the reference, in multiples of a Gaussian's), because a name that always
moves would stand before those that moved now. The result is compressed, log1p(d), since a victim behind a queue can
deviate more than its cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents.suspected_changes import Suspected, suspect_change
from perfloop_analyzer.incidents.topology import MACHINE, Topology
from perfloop_analyzer.incidents.walk import EXPLAINED, MOVED, Movement, Step, walk_calls
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.series import Floats

JOIN_SECONDS = 600.0  # findings of one incident begin within this time of each other
MACHINE_SECONDS = 60.0  # a busy machine slows its services within this time
COMPARABLE = 0.6
TIME = "seconds"
ABSENCE = "absence"
WORST = 3
MIN_REFERENCE = 4
DOWN = 10.0
GRAINS = 2.0**20
USUAL_PERCENT = 95.0
STILL_SPREAD = 0.1  # of the move, for a series that never moved before: ten spreads, in any unit
_INFINITY = math.inf
GAUSSIAN_USUAL = 1.5  # IQRs: what USUAL_PERCENT of the blocks of Gaussian noise do not exceed

Pair = tuple[str, str]
Pairs = dict[Pair, list[Finding]]
Deviation = Callable[[Finding], float]
# How far a service moved in the measure of a finding, since that finding began; None where that is not measured.
Movements = Callable[[Finding, str], Movement | None]


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible cause.

    Attributes:
        score: Its share; the scores of an incident add up to 1.
        deviation: The score before normalization and before another cause explained it.
        onset: When its first finding began, in Unix seconds.
        evidence: One sentence per finding, and one for the change just before it.
        suspicion: How far it deviates, whenever it began, as far as nothing outside its service explains it: causes of
            different incidents compare by it.
        change: What was changed just before it began, where anything was.
    """

    service: str
    component: str
    score: float
    deviation: float
    onset: float
    evidence: tuple[str, ...]
    suspicion: float = 0.0
    change: Change | None = None

    @property
    def began(self) -> str:
        """The sentence about the change just before it; empty where there was none."""
        return self.evidence[-1] if self.change else ""

    @property
    def percent(self) -> str:
        """The share in whole percent, rounded down: what is shown of one incident adds up to no more than 100%."""
        return f"{math.floor(100 * self.score)}%" if self.score >= 0.01 else "<1%"  # noqa: PLR2004 - one percent

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "service": self.service,
            "component": self.component,
            "score": self.score,
            "deviation": self.deviation,
            "onset": self.onset,
            "evidence": list(self.evidence),
            "change": self.change.as_dict() if self.change else None,
        }


def rank_causes(
    findings: Iterable[Finding],
    topology: Topology,
    deviation: Deviation,
    steps: Mapping[str, Step] | None = None,
    changes: Sequence[Change] = (),
) -> tuple[Cause, ...]:
    """Rank the (service, component) pairs of one incident, and the services on the walk from its symptom.

    Args:
        findings: At least one.
        topology: What can affect what.
        deviation: How far a finding's series deviates from its own past.
        steps: The walk from the symptom, by service; nothing where the calls are unknown.
        changes: What was changed; a cause counts more where its service was changed just before.
    """
    steps = steps or {}
    pairs: Pairs = {}
    for finding in findings:
        pairs.setdefault((finding.service, finding.component), []).append(finding)
    started = min(finding.onset for group in pairs.values() for finding in group)
    sizes = {pair: _size(group, deviation) for pair, group in pairs.items()}
    added = _add_unreported(steps, pairs, sizes)
    raw = {pair: size * _lateness(pairs.get(pair, ()), started) for pair, size in sizes.items()}
    _put_dead_services_first(raw, sizes, pairs)
    outside = {pair: _unexplained(pair, pairs, raw, topology, steps) for pair in raw}
    onsets = {pair: min((one.onset for one in pairs.get(pair, ())), default=_INFINITY) for pair in raw}
    onsets |= {pair: movement.onset for pair, movement in added.items()}
    suspected = {pair: suspect_change(pair, onset, changes, topology) for pair, onset in onsets.items()}
    scores = {
        pair: one * min(outside[pair], _explained_within(pair, pairs, raw, topology)) * _raised(suspected[pair])
        for pair, one in raw.items()
    }
    causes: list[Cause] = []
    for pair, score in _shares(scores).items():
        sentences = [_sentence(finding) for finding in pairs.get(pair, ())] or [_movement_sentence(added[pair])]
        found = suspected[pair]
        if found is not None:
            sentences.append(found.sentence)
        suspicion = sizes[pair] * outside[pair]
        change = found.change if found else None
        causes.append(Cause(*pair, score, round(raw[pair], 6), onsets[pair], tuple(sentences), suspicion, change))
    return tuple(sorted(causes, key=lambda cause: (-cause.score, cause.onset, cause.component)))


def _raised(found: Suspected | None) -> float:
    return 1.0 if found is None else found.factor


def find_symptom(findings: Iterable[Finding], topology: Topology, deviation: Deviation) -> Finding | None:
    """Return what the callers of the whole incident experience: of the services that no other of them calls, the worst.

    None where no service of the incident is in the call graph, or where only resources are unusual.
    """
    seen = [finding for finding in findings if finding.kind == "red" and topology.knows(finding.service)]
    services = {finding.service for finding in seen}
    called = {one for service in services for one in topology.calls.get(service, frozenset()) if one != service}
    outer = [finding for finding in seen if finding.service not in called] or seen
    return max(outer, key=lambda one: (one.severity, deviation(one), -one.onset), default=None)


def walk_from_symptom(
    findings: Iterable[Finding], topology: Topology, deviation: Deviation, movements: Movements
) -> dict[str, Step]:
    """Return the walk from the symptom of an incident's findings; empty where it has none or the calls are unknown."""
    symptom = find_symptom(findings, topology, deviation)
    if symptom is None:
        return {}
    return walk_calls(symptom.service, topology.calls, lambda service: movements(symptom, service))


def _add_unreported(steps: Mapping[str, Step], pairs: Pairs, sizes: dict[Pair, float]) -> dict[Pair, Movement]:
    """Return the movements on the walk that no detector reported, and enter their deviations into `sizes`."""
    added = {}
    for service, step in steps.items():
        movement = step.movement
        pair = (service, movement.component)
        if movement.moved and pair not in pairs:
            added[pair] = movement
            sizes[pair] = movement.deviation
    return added


def _unexplained(
    pair: Pair, pairs: Pairs, raw: Mapping[Pair, float], topology: Topology, steps: Mapping[str, Step]
) -> float:
    """Return the share of a candidate's suspicion that nothing outside its service explains, EXPLAINED to 1."""
    service = pair[0]
    if any(finding.is_down for finding in pairs.get(pair, ())):
        return 1.0
    share = 1.0
    if service in steps:
        share = steps[service].unexplained if pair[1] == steps[service].movement.component else 1.0
    elif steps and topology.knows(service):
        share = EXPLAINED
    # Between two services on the walk, the walk says it.
    others = [one for one in pairs if one[0] != service and not (service in steps and one[0] in steps)]
    return min(share, EXPLAINED) if _explained(pair, others, pairs, raw, topology) else share


def _explained_within(pair: Pair, pairs: Pairs, raw: Mapping[Pair, float], topology: Topology) -> float:
    """Return EXPLAINED where another part of the same service explains a candidate, else 1."""
    others = [one for one in pairs if one[0] == pair[0] and one != pair]
    return EXPLAINED if _explained(pair, others, pairs, raw, topology) else 1.0


def _shares(scores: Mapping[Pair, float]) -> dict[Pair, float]:
    """Return the scores as shares of their sum: binary fractions, so that they add up to exactly 1."""
    total = sum(scores.values()) or 1.0
    shares = {pair: math.floor(score / total * GRAINS) / GRAINS for pair, score in scores.items()}
    shares[max(scores, key=lambda pair: scores[pair])] += 1.0 - sum(shares.values())
    return shares


def _put_dead_services_first(raw: dict[Pair, float], sizes: dict[Pair, float], pairs: Pairs) -> None:
    """Make a service that does not answer the first cause: what else is measured of it or its callers follows."""
    most = max(raw.values())
    for pair, group in pairs.items():
        if any(finding.is_down for finding in group):
            raw[pair] = sizes[pair] = most + DOWN


def _size(group: list[Finding], deviation: Deviation) -> float:
    """Return how far a candidate deviates, both sides added, and a little for how severe it is."""
    sides = {"use": 0.0, "red": 0.0}
    for finding in group:
        sides[finding.kind] = max(sides[finding.kind], deviation(finding))
    return float(sum(sides.values()) + 0.05 * (1 + max(finding.severity for finding in group)))


def _lateness(group: Iterable[Finding], started: float) -> float:
    """Return the factor of a candidate that began after the first of its incident; 1 for one without findings."""
    late = min((finding.onset for finding in group), default=started) - started
    return float(0.5 ** (late / JOIN_SECONDS))


def _explained(pair: Pair, others: Iterable[Pair], pairs: Pairs, raw: Mapping[Pair, float], topology: Topology) -> bool:
    """Return whether another one that a candidate depends on deviates as much or is full, and can explain it."""
    return pair in pairs and any(
        (raw[other] >= COMPARABLE * raw[pair] or (raw[other] >= MOVED and _is_full(pairs[other])))
        and topology.depends(pair, other)
        and (other[1] not in MACHINE or _slowed_by(pairs[other], pairs[pair]))
        for other in others
    )


def _is_full(group: list[Finding]) -> bool:
    """Return whether a resource is critically full: use ends at 1, so it deviates less than what waits for it."""
    return any(finding.kind == "use" and finding.severity is Severity.CRITICAL for finding in group)


def _slowed_by(machine: list[Finding], candidate: list[Finding]) -> bool:
    """Return whether a candidate became slow when its machine became busy."""
    began = min(finding.onset for finding in machine)
    return any(finding.unit == TIME and abs(finding.onset - began) <= MACHINE_SECONDS for finding in candidate)


def _sentence(finding: Finding) -> str:
    if finding.is_down:
        seen = "its targets are gone from Prometheus" if finding.detector == ABSENCE else "none of its targets answers"
        return f"{finding.service} does not answer{finding.place}: {seen}"
    now, usual = (quantity(value, finding.unit) for value in (finding.value, finding.expected))
    against = "beyond its limit of" if finding.has_no_baseline else "expected"
    return f"{finding.title}{finding.place} is {now}, {against} {usual}"


def _movement_sentence(movement: Movement) -> str:
    now, usual = (quantity(value, movement.unit) for value in (movement.value, movement.expected))
    return f"{movement.title} of {movement.service} is {now}, expected {usual}"


def robust_deviation(reference: Floats, post: Floats, floor: float, *, above: bool) -> Floats:
    """Return log1p of the robust deviation per series; 0 with fewer than MIN_REFERENCE points of reference.

    Args:
        reference: Values before the onset, shape (series, points).
        post: Values after it, shape (series, points).
        floor: The smallest spread, in the signal's unit.
        above: Whether larger values are worse.
    """
    if reference.shape[1] < MIN_REFERENCE or not post.shape[1]:
        return np.zeros(len(post))
    enough = np.isfinite(reference).sum(axis=1) >= MIN_REFERENCE
    usable = enough & np.isfinite(post).any(axis=1)
    score = np.zeros(len(post))
    if not usable.any():
        return score
    before = reference[usable]
    low, middle, high = np.nanpercentile(before, [25, 50, 75], axis=1)
    sign = 1.0 if above else -1.0
    moved = sign * (post[usable] - middle[:, None])
    spread = np.maximum(high - low, np.maximum(floor, _least_spread(before, middle, above=above)))
    spread = np.where(spread > 0, spread, STILL_SPREAD * np.nanmax(np.abs(moved), axis=1))
    scale = np.where(spread > 0, spread, 1.0)[:, None]
    usual = _usual(sign * (before - middle[:, None]) / scale, post.shape[1])
    score[usable] = np.log1p(np.maximum(worst_mean(moved / scale), 0.0) / np.maximum(usual / GAUSSIAN_USUAL, 1.0))
    return score


def _least_spread(reference: Floats, middle: Floats, *, above: bool) -> Floats:
    """Return a tenth of the level; where less is worse, of the distance to the top, and at least 1% of the top.

    What falls from a top, such as the share of requests that succeed, is measured by what is missing.
    """
    if above:
        return np.asarray(0.1 * np.abs(middle), dtype=np.float64)
    top = np.nanmax(reference, axis=1)
    return np.asarray(np.maximum(0.1 * np.minimum(np.abs(middle), top - middle), 0.01 * np.abs(top)), dtype=np.float64)


def _usual(signed: Floats, points: int) -> Floats:
    """Return what blocks of so many points of the reference rarely exceed, in spreads; 0 where there are too few."""
    blocks = signed.shape[1] - points + 1
    if blocks < max(MIN_REFERENCE, points):
        return np.zeros(len(signed))
    filled = np.where(np.isfinite(signed), signed, 0.0)
    windows = np.lib.stride_tricks.sliding_window_view(filled, points, axis=1)
    worst = worst_mean(windows.reshape(-1, points)).reshape(len(signed), blocks)
    return np.asarray(np.percentile(worst, USUAL_PERCENT, axis=1), dtype=np.float64)


def worst_mean(signed: Floats) -> Floats:
    """Return the mean of the WORST largest finite values of each row, shape (series,); 0 for a row without any."""
    filled = np.where(np.isfinite(signed), signed, -np.inf)
    top = np.sort(filled, axis=1)[:, -WORST:]
    there = np.isfinite(top)
    mean: Floats = np.where(there, top, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return mean
