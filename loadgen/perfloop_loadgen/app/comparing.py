"""Runs against runs: where they come from, what keeps them from being compared, the answer and its reports."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_base.quantities import quantity
from perfloop_base.terminal import show
from perfloop_base.visible import brief
from perfloop_loadgen.app.certifying import find_certificate
from perfloop_loadgen.app.remembered import opened
from perfloop_loadgen.app.store_flags import StoreFlags
from perfloop_loadgen.compare.answers import Answer, can_be_compared_by_blocks, can_be_significant
from perfloop_loadgen.compare.measures import ALL, ERRORS, MEASURES, Subject
from perfloop_loadgen.compare.obstacles import obstacles
from perfloop_loadgen.compare.repeated import single_runs
from perfloop_loadgen.compare.runs import MIN_EFFECT, Comparison, Gate, compare
from perfloop_loadgen.reporters.comparison import RENDERERS, comparison_lines
from perfloop_loadgen.reporters.files import replace_file
from perfloop_loadgen.summary.document import Document, from_json
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_loadgen.compare.noise import Certificate

log = logging.getLogger(__name__)

CODES = {
    Answer.BETTER: ExitCode.OK,
    Answer.SAME: ExitCode.OK,
    Answer.WORSE: ExitCode.FAILED,
    Answer.UNKNOWN: ExitCode.UNDECIDED,
}
_WORST_FIRST = (
    *(ExitCode.STOPPED, ExitCode.INVALID, ExitCode.FAILED),
    *(ExitCode.NOT_WRITTEN, ExitCode.UNDECIDED),
)


@dataclass(frozen=True, slots=True)
class Options:
    """How runs are compared, and where the result goes.

    Attributes:
        min_effect: The smallest change that matters, as a share of the base.
        measures: What is compared.
        force: Whether runs are compared in spite of every obstacle.
        reports: The file of each kind of report.
        store: Where stored runs are.
    """

    min_effect: float = MIN_EFFECT
    measures: tuple[str, ...] = MEASURES
    force: bool = False
    reports: Mapping[str, Path] = field(default_factory=dict)
    store: StoreFlags = field(default_factory=StoreFlags)


def compare_named(base: Sequence[str], new: Sequence[str], options: Options) -> ExitCode:
    """Compare runs that are named: JSON reports, stored runs, baselines; print the table, and return the exit code.

    Raises:
        ConfigError: a name is none, the runs do not compare, or the gate is finer than the machine's noise.
        StoreError: the database cannot be read.
    """
    before, after = read_runs(base, options), read_runs(new, options)
    return report(compare_runs(before, after, options), options.reports)


def read_runs(names: Sequence[str], options: Options) -> list[Document]:
    """Return the runs that are named: each a JSON report, or what the store knows by that name.

    Raises:
        ConfigError: with every name that is neither.
    """
    found: list[Document] = []
    problems: list[str] = []
    for name in names:
        try:
            found += [from_json(Path(name))] if _is_file(name) else _stored(name, options)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return list(single_runs(found))


def _is_file(name: str) -> bool:
    return Path(name).suffix == ".json" or "/" in name.removeprefix("baseline:") or Path(name).exists()


def _stored(name: str, options: Options) -> list[Document]:
    with opened(options.store) as store:
        if store is None:
            raise ConfigError(f"{brief(name)} is neither a JSON report nor a stored run: no run is stored")
        return store.documents(name)


def compare_runs(
    base: Sequence[Document],
    new: Sequence[Document],
    options: Options,
    notes: Sequence[str] = (),
    *,
    is_blocked: bool = False,
) -> Comparison:
    """Compare two groups of runs with what is known of the machine's noise.

    Args:
        base: the runs of the baseline.
        new: the runs to judge.
        options: how they are compared.
        notes: what a reader of the result must know.
        is_blocked: whether the runs were made in blocks, one of each side, in this order.

    Raises:
        ConfigError: the runs do not compare, or the gate is finer than the noise.
    """
    found = obstacles(base, new)
    if found and (not options.force or not (base and new)):
        raise ConfigError([f"the runs do not compare: {reason}{_way_out(base, new)}" for reason in found])
    for reason in found:
        log.warning("compared although %s", reason)
    by_blocks = is_blocked and len(base) == len(new) and can_be_compared_by_blocks(len(base))
    # The certificate is about runs that follow each other, not about the differences inside of blocks.
    noise = None if by_blocks else find_certificate(new[0])
    if noise is not None:
        refuse_finer(noise, options, len(base), len(new))
    compared = compare(base, new, Gate(options.min_effect, options.measures, noise, by_blocks))
    forced = [f"compared although {reason}" for reason in found]
    return replace(compared, notes=[*forced, *notes, *compared.notes])


def without_invalid(runs: Sequence[Document]) -> tuple[list[Document], list[str]]:
    """Return the runs that have a result, and a sentence for each that has none."""
    invalid = [run for run in runs if run.summary.verdict is Verdict.INVALID]
    notes = [f"the run {run.run_id} is left out: {(run.summary.reasons or ['invalid'])[0]}" for run in invalid]
    return [run for run in runs if run.summary.verdict is not Verdict.INVALID], notes


def _way_out(base: Sequence[Document], new: Sequence[Document]) -> str:
    return " (--force compares anyway)" if base and new else ""


def refuse_finer(noise: Certificate, options: Options, base_runs: int, new_runs: int) -> None:
    """Refuse a gate below the machine's own noise, and say what is possible.

    Raises:
        ConfigError: between groups of so many runs every response time differs by more than `min_effect` by itself.
    """
    effect = math.log1p(options.min_effect)
    times = [name for name in options.measures if name[-1].isdigit()]
    rows = [row for name in times if (row := noise.of(Subject(ALL, name))) is not None and name != ERRORS]
    if not rows or any(row.finest(base_runs, new_runs) <= effect for row in rows):
        return
    best = min(rows, key=lambda row: row.finest(base_runs, new_runs))
    finest = math.expm1(best.finest(base_runs, new_runs))
    runs = best.runs_for(effect)
    more = f", or {runs} runs a side" if runs is not None and can_be_significant(runs, runs) else ""
    measured = f"measured over {noise.runs} runs at {noise.measured_at}"
    asked = f"--min-effect {quantity(options.min_effect, 'ratio', 4)}"
    raise ConfigError(
        f"{asked} is finer than this machine's own noise: {best.measure} of {noise.test} "
        f"differs by up to {finest:.1%} between {base_runs} and {new_runs} runs of one build ({measured}); "
        f"possible is --min-effect {quantity(math.ceil(finest * 1000) / 1000, 'ratio', 4)}{more}"
    )


def report(compared: Comparison, reports: Mapping[str, Path]) -> ExitCode:
    """Print a comparison, write its reports, and return the exit code."""
    for line in comparison_lines(compared):
        show(line)
    written = write_reports({kind: RENDERERS[kind](compared) for kind in reports}, reports)
    return worst_code([CODES[compared.answer], written])


def worst_code(codes: Sequence[ExitCode]) -> ExitCode:
    """Return the one that a pipeline must know: what is proved outweighs what is undecided or could not be written."""
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.OK)


def write_reports(contents: Mapping[str, bytes], files: Mapping[str, Path]) -> ExitCode:
    """Write each kind of report to its file; what cannot be written is said."""
    code = ExitCode.OK
    for kind, path in files.items():
        try:
            replace_file(path, contents[kind])
        except (OSError, ValueError) as error:  # a ValueError: NUL in the path
            reason = getattr(error, "strerror", None) or error
            log.error("--report.%s: %s cannot be written: %s", kind, path, reason)  # noqa: TRY400 - no trace
            code = ExitCode.NOT_WRITTEN
    return code
