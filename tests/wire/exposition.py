"""What a program exports, read from its own text: each family's type, help and label names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')
_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? ")
_OWN = {"histogram": {"le"}, "summary": {"quantile"}}
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@dataclass(slots=True)
class Exported:
    """One family as it is on the wire; `labels` is None while it has no sample."""

    type: str
    help: str = ""
    labels: set[str] | None = field(default=None)


def parse_families(text: str) -> dict[str, Exported]:
    """Every family of a classic exposition."""
    families: dict[str, Exported] = {}
    helps: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            helps[name] = words
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            families[name] = Exported(kind, helps.get(name, ""))
        elif match := _SAMPLE.match(line):
            _add_labels(families, match.group(1), match.group(2) or "")
    return families


def _add_labels(families: dict[str, Exported], sample: str, labels: str) -> None:
    name = sample
    for kind, suffixes in _SUFFIXES.items():
        for suffix in suffixes:
            base = sample.removesuffix(suffix)
            if base != sample and base in families and families[base].type == kind:
                name = base
    family = families[name]
    family.labels = (family.labels or set()) | (set(_LABEL.findall(labels)) - _OWN.get(family.type, set()))
