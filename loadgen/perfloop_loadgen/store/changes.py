"""What changed over the stored runs of a test: the points at which a figure went to another level, in words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from perfloop_base.change_points import ChangePoint, change_points
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.store.stored import StoredRun

_SHORT = 8
# This is computed at the end of every run: some 20 ms of work.
_NEWEST = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of runs that is watched over time.

    Attributes:
        read: Returns the figure of a run in its unit; None of a run that has none.
        rest: Whether changes are looked for in what is left to 1: a share of 0 has no logarithm.
    """

    name: str
    unit: str
    read: Callable[[StoredRun], float | None]
    up_is_worse: bool
    rest: bool = False

    def level(self, run: StoredRun) -> float | None:
        """Return the value in which changes are looked for."""
        value = self.read(run)
        return 1 - value if self.rest and value is not None else value


FIGURES = (
    Figure("p95", "seconds", lambda run: run.p95_seconds, up_is_worse=True),
    Figure("rate", "per_second", lambda run: run.rate, up_is_worse=False),
    Figure("failed requests", "ratio", lambda run: run.failed_ratio, up_is_worse=True, rest=True),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A figure went to another level with a run, the first of the new level; `before` is the last one of the old."""

    figure: Figure
    point: ChangePoint
    before: StoredRun
    run: StoredRun

    @property
    def is_worse(self) -> bool:
        """Return whether the new level is the worse one."""
        return (self.point.after > self.point.before) is (self.figure.up_is_worse is not self.figure.rest)

    @property
    def what(self) -> str:
        """Return the figure with both levels: `p95 20 ms → 25 ms (+25%)`."""
        levels = (self.point.before, self.point.after)
        if self.figure.rest:
            old, new = (quantity(1 - level, self.figure.unit) for level in levels)
            return f"{self.figure.name} {old} → {new}"
        old, new = (quantity(level, self.figure.unit) for level in levels)
        return f"{self.figure.name} {old} → {new} ({self.point.ratio:+.0%})"

    def sentence(self) -> str:
        """Return the change for people, with what else differs between the two runs."""
        since = f"{self.what} from the run {self.run.run_id} on"
        others = differences(self.before, self.run)
        return f"{since}: {', '.join(others)}" if others else f"{since}; nothing else is known to differ"


def changes_of(runs: Sequence[StoredRun]) -> list[Change]:
    """Return the changes over the runs of one test, the newest first; runs that prove nothing are left out.

    Args:
        runs: The runs of one test, the oldest first.
    """
    usable = [run for run in runs if run.is_usable]
    found = []
    for figure in FIGURES:
        pairs = [(value, run) for run in usable if (value := figure.level(run))]
        points = change_points([value for value, _ in pairs])
        found += [Change(figure, point, pairs[point.index - 1][1], pairs[point.index][1]) for point in points]
    return sorted(found, key=lambda change: change.run.started_unix, reverse=True)


def changes_by_run(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return what changed with a run, in words, by run: over the newest runs of each test.

    Args:
        runs: The runs of any tests, in any order.
    """
    ordered = sorted(runs, key=lambda run: (run.test, run.started_unix, run.run_id))
    words: dict[str, list[str]] = {}
    for _, own in groupby(ordered, key=lambda run: run.test):
        for change in changes_of(list(own)[-_NEWEST:]):
            words.setdefault(change.run.run_id, []).append(change.what)
    return {run_id: ", ".join(sentences) for run_id, sentences in words.items()}


def differences(before: StoredRun, after: StoredRun) -> list[str]:
    """Return what differs between two runs besides their figures."""
    names = dict.fromkeys([*before.labels, *after.labels])
    pairs = [(name, before.labels.get(name, "none"), after.labels.get(name, "none")) for name in names]
    pairs.append(("revision", short(before.revision) or "none", short(after.revision) or "none"))
    found = [f"{name} {old} → {new}" for name, old, new in pairs if old != new]
    if before.config_hash != after.config_hash:
        found.append("the test itself was changed")
    if before.host != after.host:
        found.append(f"the load came from {after.host} instead of {before.host}")
    return found


def short(revision: str) -> str:
    """Return a commit as people write it, with the mark of one whose files were changed."""
    commit, dash, mark = revision.partition("-")
    return f"{commit[:_SHORT]}{dash}{mark}"
