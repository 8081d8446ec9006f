"""The PromQL that people write into thresholds.yml, slos.yml and the packs, parsed before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.promql import find_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfloop_base.slos import Slo
    from perfloop_base.thresholds import Thresholds
    from perfloop_rules.packs import Pack

Expression = tuple[str, int, str, str]  # file, line, what it belongs to, text


def find_broken_expressions(
    thresholds: Thresholds, slos: Iterable[Slo], packs: Iterable[Pack], slos_file: str
) -> list[str]:
    """Return one sentence for each expression that is not PromQL."""
    expressions = [*_of_signals(thresholds), *_of_slos(slos, slos_file), *_of_packs(packs)]
    return [
        f"{file}:{line}: {what} is not PromQL: {problem}."
        for file, line, what, text in expressions
        if (problem := find_problem(text).rstrip("."))
    ]


def _of_signals(thresholds: Thresholds) -> Iterator[Expression]:
    for signal in thresholds.signals:
        yield thresholds.file, signal.line, f"signal {signal.name}: expr", signal.expr


def _of_slos(slos: Iterable[Slo], file: str) -> Iterator[Expression]:
    for slo in slos:
        yield file, slo.line, f"SLO {slo.name}: total", slo.total
        yield file, slo.line, f"SLO {slo.name}: bad or good", slo.bad


def _of_packs(packs: Iterable[Pack]) -> Iterator[Expression]:
    for pack in packs:
        for recording in pack.recordings:
            yield pack.file, recording.line, f"recording {recording.record}: expr", recording.expr
        for alert in pack.alerts:
            yield pack.file, alert.line, f"alert {alert.name}: expr", alert.with_limit(1)
