"""Reasons not to compare runs: whatever differs besides the service makes the numbers worthless."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.summary.document import FORMAT, State
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_loadgen.summary.document import Document

# What may differ between two builds of one service: where it is, what the test is called, what its runs are judged by.
_FREE = {"base_url", "name", "thresholds", "generator_limits", "prometheus_url", "service", "seed"}
# Runs of one test last equally long, up to their last answers; one that is shorter by both was cut off.
_LEAST_DURATION, _LONGEST_ANSWERS_SECONDS = 0.9, 0.5
_LONGEST_VALUE = 60


def obstacles(base: Sequence[Document], new: Sequence[Document]) -> list[str]:
    """Return every reason not to compare two groups of runs, one sentence each."""
    reasons = [f"there is no {side} run" for side, runs in (("base", base), ("new", new)) if not runs]
    return reasons or faults([*base, *new], ["base run"] * len(base) + ["new run"] * len(new))


def faults(runs: Sequence[Document], names: Sequence[str] = ()) -> list[str]:
    """Return every reason why runs of one test do not belong together; each is called by its name, and its id."""
    named = list(zip(names or ["run"] * len(runs), runs, strict=True))
    reasons = [*_twice(runs), *(reason for run in runs for reason in differences(runs[0], run))]
    reasons += [reason for name, run in named for reason in _unusable(name, run)]
    return list(dict.fromkeys([*reasons, *_cut_short(runs)]))


def comparable(run: Document) -> dict[str, Any]:
    """Return the configuration without what may differ between two builds of one service."""
    kept = {key: value for key, value in run.config.items() if key not in _FREE}
    return without_secrets(kept)  # other versions hide them in other words


def _twice(runs: Sequence[Document]) -> Iterator[str]:
    for run_id, times in Counter(run.run_id for run in runs).items():
        if times > 1:
            yield f"the run {run_id} is given {times} times: a run that is compared with itself shows no noise"


def differences(one: Document, other: Document) -> Iterator[str]:
    """Yield what keeps two runs apart besides how they went: the test, the machine, the versions."""
    if one.format != other.format or one.format != FORMAT:
        yield f"the format of the reports differs: {one.format} and {other.format}, and this version reads {FORMAT}"
    for name, first, second in (
        ("load shape", one.profile, other.profile),
        ("number of workers", one.generator.workers, other.generator.workers),
        ("list of machines that sent the load", _machines(one), _machines(other)),
        ("version of the load generator", one.generator_version, other.generator_version),
    ):
        if first != second:
            yield f"the {name} differs: {_brief(first)} and {_brief(second)}"
    yield from _differing("generator's host", asdict(one.host), asdict(other.host))
    yield from _differing("configuration", comparable(one), comparable(other))


def _machines(run: Document) -> list[str]:
    return sorted({worker.host for worker in run.workers})


def _differing(what: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    if names:
        parts = (f"{name} {_brief(one.get(name))} and {_brief(other.get(name))}" for name in names)
        yield f"the {what} differs: {', '.join(parts)}"


def _brief(value: object) -> str:
    if value is None:
        return "(the default)"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _unusable(name: str, run: Document) -> Iterator[str]:
    if run.summary.verdict is Verdict.INVALID:
        reasons = run.summary.reasons
        yield f"the {name} {run.run_id} was invalid: {reasons[0] if reasons else 'no reason given'}"
    if run.state is not State.ENDED:
        yield f"the {name} {run.run_id} was {run.state} before its end"


def _cut_short(runs: Sequence[Document]) -> Iterator[str]:
    usual = median(run.summary.duration_seconds for run in runs)
    for run in runs:
        seconds = run.summary.duration_seconds
        is_shorter = seconds < min(_LEAST_DURATION * usual, usual - _LONGEST_ANSWERS_SECONDS)
        if run.state is State.ENDED and is_shorter:
            why = f": {run.summary.end_reason}" if run.summary.end_reason else ""
            yield f"the run {run.run_id} lasted {seconds:.3g} s, the others {usual:.3g} s{why}"
