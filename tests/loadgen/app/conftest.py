"""What tests of programs that make several runs share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from perfloop_loadgen.summary import Summary


@pytest.fixture
def first_run_is_invalid(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """The generator is the limit in the first run, and then no more; every verdict is listed."""
    verdicts: list[Verdict] = []
    measure = LoadTester.measure

    async def sometimes(self: LoadTester) -> Summary:
        summary = await measure(self)
        if not verdicts:
            summary = replace(summary, verdict=Verdict.INVALID, reasons=["a neighbour kept the core busy"])
        verdicts.append(summary.verdict)
        return summary

    monkeypatch.setattr(LoadTester, "measure", sometimes)
    return verdicts
