"""What the report of one share of a load has besides its numbers: all that `merge` needs to make one run of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ShareOf:
    """One share of a load that several processes send, each without knowing of the others.

    Attributes:
        test: the name of the test.
        number: which share, from 1.
        of: how many shares there are.
        start_at: the moment at which all of them were to begin, in ISO 8601; empty where none was given.
        measured: every count by endpoint, as `store.snapshot` writes it: nothing is lost when they are added up.
        test_file: the test as in its file, without secrets: what the merged run is judged by.
    """

    test: str
    number: int
    of: int
    start_at: str
    measured: dict[str, Any]
    test_file: dict[str, Any]
