"""A change: what people, deployments or the analyzer itself did to what is watched, and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

RECOMMENDATION = "recommendation"
CONFIGURATION = "configuration"
KEEP_SECONDS = 7 * 86_400.0
MOST = 50
MOST_TITLES = 3
OWNER = "analyzer"  # the service that a change of the configuration is about


@dataclass(frozen=True, slots=True)
class Change:
    """One recorded change.

    Attributes:
        id: The same for the same change.
        at: When it was made, in Unix seconds.
        kind: recommendation (one was implemented), configuration (other limits or rules are in use), or a word of the
            person who recorded it.
        title: What was changed, in one line.
    """

    id: str
    at: float
    service: str
    kind: str
    title: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


def implemented(identifier: str, service: str, title: str, at: float) -> Change:
    """Return the change that a recommendation was implemented."""
    return Change(identify(RECOMMENDATION, identifier, at), at, service, RECOMMENDATION, f"implemented: {title}")


def configured(titles: Sequence[str], at: float) -> Change:
    """Return the change that other limits, rules or signals are in use; `titles` are of signals with other limits."""
    shown = ", ".join(titles[:MOST_TITLES])
    rest = f" and {len(titles) - MOST_TITLES} more" if len(titles) > MOST_TITLES else ""
    what = f"limits changed: {shown}{rest}" if titles else "signals, rules or call graph changed"
    return Change(identify(CONFIGURATION, what, at), at, OWNER, CONFIGURATION, what)


def identify(kind: str, what: str, at: float) -> str:
    """Return the id of a change of something at a moment."""
    digest = hashlib.sha256(f"{what}/{at:.0f}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{kind}-{digest}"
