"""Texts of a language model, kept only if the evidence contains every number in them.

The model may reword a recommendation but add nothing. Each number of its text is compared, at the precision it is
written with, with every number of the evidence, also as a percentage and in milli, kilo, mega and giga. One number that
matches none rejects the whole text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfloop_analyzer.recommend.recommendation import Recommendation

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
SCALES = (1.0, 100.0, 1e3, 1e-3, 1e-6, 1e-9, 1.0 / 1024, 1.0 / 1024**2, 1.0 / 1024**3)
LONGEST = 1200


def prompt_for(recommendation: Recommendation) -> list[dict[str, str]]:
    """Return the messages that ask for a rewording."""
    facts = "\n".join(facts_of(recommendation))
    return [
        {
            "role": "system",
            "content": "Reword the facts for an engineer in at most five plain sentences. Use only numbers that are in "
            "the facts; add no cause, no figure and no advice of your own.",
        },
        {"role": "user", "content": facts},
    ]


def facts_of(recommendation: Recommendation) -> list[str]:
    """Return everything that the text may contain, one sentence each."""
    facts = [recommendation.title, recommendation.action]
    facts += [
        f"{item['title']} changed from {item['before']:.4g} to {item['after']:.4g} {item['unit']}"
        for item in recommendation.evidence
    ]
    if recommendation.improvement:
        facts.append(recommendation.improvement.explanation)
    return facts + list(recommendation.rivals)


def is_supported(text: str, recommendation: Recommendation) -> bool:
    """Return whether the evidence contains every number of a text."""
    if not text.strip() or len(text) > LONGEST:
        return False
    known = list(_numbers(recommendation.as_dict())) + [
        value for fact in facts_of(recommendation) for value, _ in _written(fact)
    ]
    return all(any(_same(value, digits, one) for one in known) for value, digits in _written(text))


def _written(text: str) -> Iterator[tuple[float, int]]:
    """Return each number of a text with its count of significant digits."""
    for found in NUMBER.findall(text):
        plain = found.replace(",", "")
        digits = plain.lstrip("+-").split("e")[0].split("E")[0].replace(".", "").lstrip("0")
        yield float(plain), max(1, len(digits))


def _same(value: float, digits: int, known: float) -> bool:
    return any(float(f"{known * scale:.{digits}g}") == value for scale in SCALES)


def _numbers(value: Any) -> Iterator[float]:
    """Return every number in a nested value."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield float(value)
        return
    parts: Iterable[Any] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    )
    for part in parts:
        yield from _numbers(part)
