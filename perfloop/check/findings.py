"""What a check found: passed, failed or unknown, in one sentence, with what to do and the command for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perfloop_base.errors import ExitCode, PerfloopError


class Verdict(StrEnum):
    """How a check ended. UNKNOWN is what could not be checked; it never counts as passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Part(StrEnum):
    """The two parts of the checklist."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist that people know; several checks may answer it."""

    part: Part
    title: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, as a clause before its command; `command` has capital words where a person puts something in."""

    do: str
    command: str

    def __str__(self) -> str:
        """Return both as one sentence."""
        return f"{self.do}: `{self.command}`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result.

    Attributes:
        words: What was found, in one sentence without a full stop.
        advice: What to do about it; None for what passed.
        of: What the line is about where a check has several: a channel, an objective, a service.
    """

    verdict: Verdict
    words: str
    advice: Advice | None = None
    of: str = ""


def passed(words: str, of: str = "") -> Finding:
    """Return a finding that needs nothing to be done."""
    return Finding(Verdict.PASSED, words, None, of)


def failed(words: str, advice: Advice, of: str = "") -> Finding:
    """Return a finding that is not as it should be."""
    return Finding(Verdict.FAILED, words, advice, of)


def unknown(words: str, advice: Advice, of: str = "") -> Finding:
    """Return what could not be checked, with the reason."""
    return Finding(Verdict.UNKNOWN, words, advice, of)


class UnansweredError(PerfloopError):
    """What a check asks did not answer, or not in a form that is known: one sentence with the reason."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE


class NoStackError(UnansweredError):
    """No stack runs here, and no address was given: to start one is what helps."""


class SilentError(UnansweredError):
    """Nothing came back at all, so that it is of no use to ask the same program again."""
