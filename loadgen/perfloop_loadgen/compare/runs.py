"""Judge a run against a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from perfloop_loadgen.compare.bootstrap import Change, change_of
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.samples.book import Point
    from perfloop_loadgen.summary.document import Document


class Finding(StrEnum):
    """The result of a comparison for one number."""

    SAME = "no significant change"
    BETTER = "better"
    WORSE = "worse"
    REGRESSED = "regressed"
    UNKNOWN = "too little data"


@dataclass(frozen=True, slots=True)
class Row:
    """One number of both runs."""

    name: str
    base: float | None
    new: float | None
    change: Change | None
    finding: Finding


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    read: Callable[[Point], float | None]
    up_is_worse: bool


MEASURES = (
    _Measure("p50_seconds", lambda point: point.p50_seconds, up_is_worse=True),
    _Measure("p95_seconds", lambda point: point.p95_seconds, up_is_worse=True),
    _Measure("p99_seconds", lambda point: point.p99_seconds, up_is_worse=True),
    _Measure("requests_per_second", lambda point: point.requests / point.span_seconds, up_is_worse=False),
)


def obstacles(base: Document, new: Document) -> list[str]:
    """Return every reason not to compare: what differs besides the service makes the numbers worthless."""
    found = [
        f"the {name} differs: {one!r} and {other!r}"
        for name, one, other in (
            ("load shape", base.profile, new.profile),
            ("generator's host", base.host, new.host),
            ("number of workers", base.generator.workers, new.generator.workers),
            ("configuration", _comparable(base), _comparable(new)),
        )
        if one != other
    ]
    return found + [
        f"the {name} run was invalid: {run.summary.reasons[0] if run.summary.reasons else 'no reason given'}"
        for name, run in (("base", base), ("new", new))
        if run.summary.verdict is Verdict.INVALID
    ]


def compare(base: Sequence[Document], new: Sequence[Document], tolerance_ratio: float) -> list[Row]:
    """Compare each measure, second by second.

    Args:
        base: the runs of the baseline, as rounds of one experiment.
        new: the runs to judge.
        tolerance_ratio: the largest significant change, as a share of the baseline, that is no regression.
    """
    rows = [_row(measure, base, new, tolerance_ratio) for measure in MEASURES]
    return [*rows, _errors(base, new, tolerance_ratio)]


def _row(measure: _Measure, base: Sequence[Document], new: Sequence[Document], tolerance: float) -> Row:
    before, after = _series(base, measure), _series(new, measure)
    change = change_of(before, after)
    finding = Finding.UNKNOWN if change is None else _finding(change, tolerance, up_is_worse=measure.up_is_worse)
    return Row(measure.name, _level(before), _level(after), change, finding)


def _finding(change: Change, tolerance: float, *, up_is_worse: bool) -> Finding:
    if not change.is_certain:
        return Finding.SAME
    if (change.ratio > 0) is not up_is_worse:
        return Finding.BETTER
    return Finding.REGRESSED if abs(change.ratio) > tolerance else Finding.WORSE


def _errors(base: Sequence[Document], new: Sequence[Document], tolerance: float) -> Row:
    before, after = _error_ratio(base), _error_ratio(new)
    # One request in a thousand more is noise; beyond that and the tolerance it is a regression.
    allowed = before * (1 + tolerance) + 0.001
    finding = Finding.REGRESSED if after > allowed else Finding.SAME
    return Row("error_ratio", before, after, None, finding)


def _error_ratio(runs: Sequence[Document]) -> float:
    requests = sum(run.summary.total_requests for run in runs)
    return sum(run.summary.failed_requests for run in runs) / requests if requests else 0.0


def _series(runs: Sequence[Document], measure: _Measure) -> list[float]:
    """Return a value a second; first and last are cut short by the ramp of connections and the end."""
    found = [measure.read(point) for run in runs for point in run.timeline[1:-1] if point.span_seconds]
    return [value for value in found if value is not None]


def _level(values: Sequence[float]) -> float | None:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None


def _comparable(run: Document) -> dict[str, object]:
    """Return the configuration without what may differ between two builds of one service."""
    kept = {key: value for key, value in run.config.items() if key not in {"base_url", "name", "thresholds"}}
    return without_secrets(kept)  # other versions hide them in other words
