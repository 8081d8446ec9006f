"""The noise certificate: how much runs of one test differ on this machine although nothing changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.compare.answers import SIGNIFICANCE
from perfloop_loadgen.compare.measures import ERRORS, MEASURES, Subject, subjects
from perfloop_loadgen.compare.obstacles import comparable
from perfloop_loadgen.compare.student import critical_t
from perfloop_loadgen.summary.document import Host  # noqa: TC001 - pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.summary.document import Document

# With fewer a machine that has two states may have shown one of them only.
LEAST_RUNS = 8
MOST_RUNS = 1000


@dataclass(frozen=True, slots=True)
class Noise:
    """Of one number: its level, the variance of its logarithm from run to run, and the degrees of freedom of that."""

    endpoint: str
    measure: str
    level: float
    variance: float
    freedom: int

    @property
    def spread_ratio(self) -> float:
        """Return the standard deviation of a run, as a share of the level."""
        return math.expm1(math.sqrt(self.variance))

    def finest(self, base_runs: int, new_runs: int) -> float:
        """Return the largest difference, as a logarithm, that two groups of one build show in 99 of 100 comparisons."""
        error = math.sqrt(self.variance * (1 / base_runs + 1 / new_runs))
        return critical_t(SIGNIFICANCE, self.freedom) * error

    def runs_for(self, effect: float) -> int | None:
        """Return how many runs a side make an effect (as a logarithm) no finer than the noise; None beyond 1000."""
        if not effect:
            return None
        runs = math.ceil(2 * self.variance * (critical_t(SIGNIFICANCE, self.freedom) / effect) ** 2)
        return max(1, runs) if runs <= MOST_RUNS else None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The noise of one test on one machine; `config` is the configuration without secrets and what may differ."""

    test: str
    measured_at: str
    runs: int
    profile: str
    workers: int
    generator_version: str
    config: dict[str, Any]
    host: Host
    rows: list[Noise]

    def of(self, subject: Subject) -> Noise | None:
        """Return the noise of one number, as far as it was measured."""
        return next(
            (row for row in self.rows if (row.endpoint, row.measure) == (subject.endpoint, subject.measure)), None
        )

    def is_about(self, run: Document) -> bool:
        """Return whether a run is one of the test and machine that were measured."""
        ours = (self.profile, self.workers, self.generator_version, self.host, self.config)
        theirs = (run.profile, run.generator.workers, run.generator_version, run.host, comparable(run))
        return ours == theirs


def certify(runs: Sequence[Document]) -> Certificate:
    """Return what runs of one build say about the noise; at least two, that compare with each other."""
    first = runs[0]
    found = (_noise(subject, runs) for subject in subjects(runs, MEASURES) if subject.measure != ERRORS)
    return Certificate(
        test=first.summary.name,
        measured_at=first.started_at,
        runs=len(runs),
        profile=first.profile,
        workers=first.generator.workers,
        generator_version=first.generator_version,
        config=comparable(first),
        host=first.host,
        rows=[noise for noise in found if noise is not None],
    )


def _noise(subject: Subject, runs: Sequence[Document]) -> Noise | None:
    values = [value for run in runs if (value := subject.value(run)) is not None]
    if len(values) < len(runs):
        return None
    logs = [math.log(value) for value in values]
    return Noise(subject.endpoint, subject.measure, math.exp(fmean(logs)), variance(logs), len(logs) - 1)
