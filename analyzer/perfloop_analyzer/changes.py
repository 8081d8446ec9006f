"""A change: what people, deployments or the analyzer itself did to what is watched, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RECOMMENDATION = "recommendation"
CONFIGURATION = "configuration"
KEEP_SECONDS = 7 * 86_400.0
MOST = 50


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
