"""The command `perfloop prove`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from perfloop.prove.app import Outcome, prove
from perfloop.prove.config import ProofConfig
from perfloop.prove.proof import INVALID, PROVED, REFUTED, UNDECIDED
from perfloop_analyzer.config import TargetConfig
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.terminal import show_lines, warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = "perfloop prove"
CODES = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.NOT_RUNNING,
    ExitCode.INVALID,
    ExitCode.NOT_WRITTEN,
    ExitCode.SOURCE_UNAVAILABLE,
    ExitCode.UNDECIDED,
    ExitCode.INTERRUPTED,
)
OUTCOMES: Mapping[str, ExitCode] = {
    PROVED: ExitCode.OK,
    REFUTED: ExitCode.FAILED,
    UNDECIDED: ExitCode.UNDECIDED,
    INVALID: ExitCode.INVALID,
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return guard(PROGRAM, lambda: _run(argv))


def build_parser() -> Parser:
    """Return the parser of every flag."""
    parser = Parser(
        prog=PROGRAM,
        description="Replay the load of an incident without and with a recommended change, and say what it brings.",
        epilog=f"0: the gain is proved; 1: refuted; 14: undecided. {exit_codes(*CODES)}",
    )
    parser.add_argument(
        "id", metavar="ID", help="the recommendation's id, as `perfloop analyzer recommendations` prints it"
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the proof as JSON")
    add_flags(parser, ProofConfig, "proof")
    add_flags(parser, TargetConfig, "the running analyzer")
    add_log_flags(parser)
    return parser


def _run(argv: list[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    set_up_logs(arguments)
    outcome = prove(arguments.id, read_flags(ProofConfig, arguments), read_flags(TargetConfig, arguments))
    if arguments.as_json:
        sys.stdout.buffer.write(orjson.dumps(outcome.proof.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        show_lines(_lines(outcome))
    if outcome.unrecorded:
        warn(f"the analyzer does not keep this proof: {outcome.unrecorded}")
    return OUTCOMES[outcome.proof.evaluation.verdict]


def _lines(outcome: Outcome) -> Iterator[str]:
    proof = outcome.proof
    yield f"{proof.evaluation.verdict}: {proof.evaluation.words}"
    expected = proof.recommendation.improvement
    if expected:
        place = {True: "the proved gain lies within", False: "the proved gain lies outside", None: "not comparable"}
        yield f"expected: {expected.ratio:.0%} ({expected.low:.0%} to {expected.high:.0%}); {place[proof.is_inside]}"
    for one in proof.side_effects:
        which = "better" if one.effect.gain > 0 else "worse"
        yield f"side effect: {one.title} {one.series} is {which} by {abs(one.effect.gain):.0%}".replace("  ", " ")
    if not proof.side_effects:
        yield "no side effect on any other signal"
    off = [one for one in proof.routes if not one.is_same]
    yield f"load: {len(proof.routes)} routes" + (
        f", {len(off)} not at the original's rate" if off else " at the original's rates"
    )
    yield f"{outcome.page}"
    yield f"{outcome.document}"
