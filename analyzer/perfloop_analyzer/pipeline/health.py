"""Health: 100 minus penalties that add up exactly.

Each signal with a finding costs its service one penalty, that of its worst finding: base(severity) + 10 min(excess, 1),
where base is 2 for an unusual signal without a broken limit, 10 for one beyond its warning and 25 beyond its critical
limit; what callers experience (red) counts in full, a resource (use) three fifths. Penalties are rounded to
eighths, which binary floating point holds exactly; if they sum to more than 100 the last ones are cut, so
100 - sum(penalties) == score holds to the bit, in Python and in PromQL. `overall` takes each signal's worst penalty.

A service that does not answer costs all of it: nothing else that was measured of it counts then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.findings import OVERALL, Finding, Severity
from perfloop_analyzer.ports import Health

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BASE = {Severity.INFO: 2.0, Severity.WARNING: 10.0, Severity.CRITICAL: 25.0}
EXTRA = 10.0
USE_WEIGHT = 0.6
GRAIN = 8.0
WHOLE = 100.0


def score_health(findings: Iterable[Finding], services: Iterable[str]) -> tuple[Health, ...]:
    """Return the health of every service, and of the whole under the name OVERALL."""
    table: dict[str, dict[str, float]] = {service: {} for service in services}
    for finding in findings:
        row = table.setdefault(finding.service, {})
        row[finding.signal] = max(row.get(finding.signal, 0.0), penalty(finding))
    overall: dict[str, float] = {}
    for row in table.values():
        for signal, cost in row.items():
            overall[signal] = max(overall.get(signal, 0.0), cost)
    if not table:
        return ()
    return tuple(_total(service, row) for service, row in sorted((table | {OVERALL: overall}).items()))


def penalty(finding: Finding) -> float:
    """Return the penalty of one finding, in points of the score."""
    if finding.is_down:
        return WHOLE
    excess = min(max(finding.score, 0.0), 1.0) if finding.detector == "threshold" else 0.0
    weight = 1.0 if finding.kind == "red" else USE_WEIGHT
    return round((BASE[finding.severity] + EXTRA * excess) * weight * GRAIN) / GRAIN


def _total(service: str, row: Mapping[str, float]) -> Health:
    left, kept = WHOLE, {}
    for signal, cost in sorted(row.items(), key=lambda item: (-item[1], item[0])):
        if not left:
            break
        kept[signal] = min(cost, left)
        left -= kept[signal]
    return Health(service, left, kept)
