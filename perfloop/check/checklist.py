"""A check of the checklist, and the lines of the result that it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.check.findings import Verdict
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from perfloop.check.findings import Advice, Finding, Item, Part
    from perfloop.check.sources import Sources


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the checklist.

    Attributes:
        name: Its name in JSON and JUnit, which stays the same from version to version.
        title: What must be so.
        items: The lines of the checklist that it answers; it is asked in the parts of all of them.
        reads: Where the answer comes from.
        look: Yields one finding or several. What it raises of UnansweredError and other known errors is `unknown`.
        otherwise: What to do where it could not be checked.
    """

    name: str
    title: str
    items: tuple[Item, ...]
    reads: str
    look: Callable[[Sources], Iterable[Finding]]
    otherwise: Advice

    def item_of(self, parts: Iterable[Part]) -> Item | None:
        """Return the first line of the checklist that it answers in one of these parts; None where it is in none."""
        asked = set(parts)
        return next((item for item in self.items if item.part in asked), None)


@dataclass(frozen=True, slots=True)
class Line:
    """A finding with its check and its place in the checklist."""

    check: Check
    item: Item
    finding: Finding

    @property
    def title(self) -> str:
        """The check's title, with what the line is about."""
        return f"{self.check.title}: {self.finding.of}" if self.finding.of else self.check.title

    @property
    def name(self) -> str:
        """The check's name, with what the line is about."""
        return f"{self.check.name}/{self.finding.of}" if self.finding.of else self.check.name


def overall(lines: Iterable[Line]) -> Verdict:
    """Return the verdict of all lines: failed if any failed, else unknown if any is; no line at all is unknown."""
    verdicts = {line.finding.verdict for line in lines}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    return Verdict.PASSED if verdicts == {Verdict.PASSED} else Verdict.UNKNOWN


EXIT_CODES: Mapping[Verdict, ExitCode] = {
    Verdict.PASSED: ExitCode.OK,
    Verdict.FAILED: ExitCode.FAILED,
    Verdict.UNKNOWN: ExitCode.UNDECIDED,
}
