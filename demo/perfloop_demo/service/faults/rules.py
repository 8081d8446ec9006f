"""The values that a fault may have, and the sentence for a value that it may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["number", "whole number", "switch"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault's name, its unit, the values it may take and what it does; 0 and false mean healthy."""

    name: str
    title: str
    kind: Kind
    unit: str
    maximum: float
    effect: str

    def find_problem(self, value: Any) -> str | None:
        """Return what is wrong with a value, or None."""
        if self.kind == "switch":
            return None if isinstance(value, bool) else f"{self.name} is {value!r}: it must be true or false."
        accepted = int if self.kind == "whole number" else (int, float)
        good = isinstance(value, accepted) and not isinstance(value, bool)
        if good and 0 <= value <= self.maximum:  # no NaN, no infinity, and an integer of any length
            return None
        return f"{self.name} is {value!r}: it must be a {self.kind} from 0 to {self.maximum:g} ({self.unit})."


def find_problems(wanted: Any, rules: Mapping[str, Rule]) -> list[str]:
    """Return one sentence for everything that is wrong with a request for faults."""
    if not isinstance(wanted, dict):
        return ["Faults must be a JSON object of fault and value."]
    unknown = [
        f"{name!r} is an unknown fault: it must be one of {', '.join(rules)}." for name in wanted if name not in rules
    ]
    found = (rules[name].find_problem(value) for name, value in wanted.items() if name in rules)
    return unknown + [problem for problem in found if problem]
