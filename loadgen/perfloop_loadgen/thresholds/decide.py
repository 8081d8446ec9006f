"""Three verdicts from everything that is known about a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.summary.verdict import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.samples.tally import Tally


def decide(
    tally: Tally, gates: Sequence[GateResult], faults: Sequence[str], broken: Sequence[str] = ()
) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons. Invalid outweighs failed: a run that measured itself has no result."""
    silent = [f"the gate {gate.text!r} had no data" for gate in gates if gate.passed is None]
    failures = [*broken, *(_failure(gate) for gate in gates if gate.passed is False)]
    if tally.requests and tally.errors == tally.requests:
        worst = max(tally.outcomes, key=tally.outcomes.__getitem__)
        failures.append(f"not one of {tally.requests} requests was answered as expected (mostly {worst})")
    if not tally.requests:
        silent.append("no request was sent")
    if faults or silent:
        return Verdict.INVALID, [*faults, *silent, *failures]
    return (Verdict.FAILED if failures else Verdict.PASSED), failures


def _failure(gate: GateResult) -> str:
    return f"the gate {gate.text!r} saw {gate.saw}"
