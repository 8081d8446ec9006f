"""A report as it is sent, and what is raised where a channel does not take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.errors import AnalyzerError
from perfloop_base.redaction import redact
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_ANSWER = 200


class DeliveryError(AnalyzerError):
    """A channel did not take a report; one sentence without a secret."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A report as it is sent.

    Attributes:
        identifier: The same for the same report, so that a mail that comes twice is seen to be one.
        subject: Its title and span.
        headlines: What a message says.
        text, html: The mail's two forms; `attachment` is the whole report, one HTML file.
        page: Where the report is; empty where nobody knows.
    """

    identifier: str
    subject: str
    headlines: Sequence[str]
    text: str
    html: str
    attachment: str
    page: str = ""


def short(words: object) -> str:
    """Return what a channel said as one line without secrets, cut where it is long."""
    return visible(redact(" ".join(str(words).split())))[:_LONGEST_ANSWER] or "no reason given"
