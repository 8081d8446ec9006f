"""Ranking the possible causes of one incident.

The candidates are the (service, component) pairs of the incident's findings. A candidate's score is its robust
deviation, halved for each JOIN_SECONDS that it began after the first, and reduced to a third when another candidate
that it depends on explains it: the root cause is the deviating node without a deviating callee (Hardt et al., "The
PetShop dataset", CLeaR 2024). For a pair seen from both sides, as a resource (use) and by its callers (red), the two
sides are added (the conjunction of PRISM). Scores are normalized to add up to 1. A service that does not answer comes
before everything else that is measured of it.

The robust deviation is BARO's RobustScorer (Pham et al., FSE 2024): d = (post - median(reference)) / IQR(reference),
signed so that worse is positive. Two changes: `post` is the mean of the three worst points rather than the maximum, so
that one outlier does not decide; and the IQR has a floor (a tenth of the median, or the signal's minimum deviation),
because a flat baseline near zero would outrank every cause. The result is compressed, log1p(d), since a victim behind a
queue can deviate more than its cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents.topology import MACHINE, Topology
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_analyzer.series import Floats

JOIN_SECONDS = 600.0  # findings of one incident begin within this time of each other
MACHINE_SECONDS = 60.0  # a busy machine slows its services within this time
EXPLAINED = 1.0 / 3.0
COMPARABLE = 0.6
MOVED = 1.0
TIME = "seconds"
ABSENCE = "absence"
WORST = 3
MIN_REFERENCE = 4
DOWN = 10.0
GRAINS = 2.0**20

Pair = tuple[str, str]
Pairs = dict[Pair, list[Finding]]
Deviation = Callable[[Finding], float]


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible cause.

    Attributes:
        score: Its share; the scores of an incident add up to 1.
        deviation: The score before normalization and before another cause explained it.
        onset: When its first finding began, in Unix seconds.
        evidence: One sentence per finding.
    """

    service: str
    component: str
    score: float
    deviation: float
    onset: float
    evidence: tuple[str, ...]

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
        }


def rank_causes(findings: Iterable[Finding], topology: Topology, deviation: Deviation) -> tuple[Cause, ...]:
    """Rank the (service, component) pairs of one incident."""
    pairs: Pairs = {}
    for finding in findings:
        pairs.setdefault((finding.service, finding.component), []).append(finding)
    started = min(finding.onset for group in pairs.values() for finding in group)
    raw = {pair: _suspicion(group, started, deviation) for pair, group in pairs.items()}
    _put_dead_services_first(raw, pairs)
    scores = {pair: raw[pair] * (EXPLAINED if _explained(pair, pairs, raw, topology) else 1.0) for pair in pairs}
    shares = _shares(scores)
    causes = [
        Cause(
            service,
            component,
            shares[service, component],
            round(raw[service, component], 6),
            min(finding.onset for finding in pairs[service, component]),
            tuple(_sentence(finding) for finding in pairs[service, component]),
        )
        for service, component in pairs
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.score, cause.onset, cause.component)))


def _shares(scores: Mapping[Pair, float]) -> dict[Pair, float]:
    """Return the scores as shares of their sum: binary fractions, so that they add up to exactly 1."""
    total = sum(scores.values()) or 1.0
    shares = {pair: math.floor(score / total * GRAINS) / GRAINS for pair, score in scores.items()}
    shares[max(scores, key=lambda pair: scores[pair])] += 1.0 - sum(shares.values())
    return shares


def _put_dead_services_first(raw: dict[Pair, float], pairs: Pairs) -> None:
    """Make a service that does not answer the first cause: what else is measured of it or its callers follows."""
    most = max(raw.values())
    for pair, group in pairs.items():
        if any(finding.is_down for finding in group):
            raw[pair] = most + DOWN


def _suspicion(group: list[Finding], started: float, deviation: Deviation) -> float:
    sides = {"use": 0.0, "red": 0.0}
    for finding in group:
        sides[finding.kind] = max(sides[finding.kind], deviation(finding))
    both = max(sides.values()) + min(sides.values())
    late = min(finding.onset for finding in group) - started
    severity = 0.05 * (1 + max(finding.severity for finding in group))
    return float((both + severity) * 0.5 ** (late / JOIN_SECONDS))


def _explained(pair: Pair, pairs: Pairs, raw: dict[Pair, float], topology: Topology) -> bool:
    """Return whether another candidate that this one depends on deviates as much or is full, and can explain it."""
    return any(
        other != pair
        and (raw[other] >= COMPARABLE * raw[pair] or (raw[other] >= MOVED and _is_full(pairs[other])))
        and topology.depends(pair, other)
        and (other[1] not in MACHINE or _slowed_by(pairs[other], pairs[pair]))
        for other in pairs
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
    low, middle, high = np.nanpercentile(reference[usable], [25, 50, 75], axis=1)
    spread = np.maximum(high - low, np.maximum(floor, 0.1 * np.abs(middle)))
    signed = (post[usable] - middle[:, None]) / np.where(spread > 0, spread, 1.0)[:, None]
    worst = _worst(signed if above else -signed)
    score[usable] = np.log1p(np.maximum(worst, 0.0))
    return score


def _worst(signed: Floats) -> Floats:
    filled = np.where(np.isfinite(signed), signed, -np.inf)
    top = np.sort(filled, axis=1)[:, -WORST:]
    there = np.isfinite(top)
    mean: Floats = np.where(there, top, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return mean
