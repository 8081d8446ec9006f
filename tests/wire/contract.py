"""The wire contract: every metric of every program, as tests/wire/contract.yml has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONTRACT_FILE = Path(__file__).with_name("contract.yml")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count", "")}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the contract; `name` may be a pattern where the kernel names it.

    `when` says under which condition it is exported, where that is not always.
    """

    name: str
    type: str
    help: str
    labels: frozenset[str]
    when: str = ""

    def covers(self, name: str) -> bool:
        """Return whether this line of the contract covers that family."""
        return re.fullmatch(self.name, name) is not None

    def allows(self, labels: set[str]) -> bool:
        """Whether these are its labels; one that ends in ? may be missing."""
        optional = {label.removesuffix("?") for label in self.labels if label.endswith("?")}
        required = {label for label in self.labels if not label.endswith("?")}
        return required <= labels <= required | optional

    def covers_series(self, name: str) -> bool:
        """Return whether this line covers that series: a histogram's buckets, sum and count are its series."""
        return any(re.fullmatch(self.name + suffix, name) for suffix in _SUFFIXES.get(self.type, ("",)))


def read_contract(file: Path = CONTRACT_FILE) -> dict[str, list[Metric]]:
    """The metrics of each program; those of every Python program are added to each."""
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    common = [_metric(entry) for entry in document["common"]]
    return {
        program: [*(_metric(entry) for entry in entries), *common] for program, entries in document["programs"].items()
    }


def read_foreign(file: Path = CONTRACT_FILE) -> dict[str, list[str]]:
    """Patterns of the metrics that others export and ours read, by who exports them."""
    foreign: dict[str, list[str]] = yaml.safe_load(file.read_text(encoding="utf-8"))["foreign"]
    return foreign


def read_designed(file: Path = CONTRACT_FILE) -> list[str]:
    """Names that the design fixes and nothing exports yet."""
    return [entry["name"] for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["designed"]]


def _metric(entry: dict[str, Any]) -> Metric:
    return Metric(
        entry["name"], entry["type"], entry["help"], frozenset(entry.get("labels", ())), entry.get("when", "")
    )
