"""What tests of the checks share."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.readiness import Answers, answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@pytest.fixture
def prometheus_of() -> Iterator[Callable[[Mapping[str, float]], str]]:
    """Make a Prometheus that answers plain selectors: each series with its value."""
    with ExitStack() as programs:

        def make(series: Mapping[str, float]) -> str:
            def query(path: str) -> Answers:
                (asked,) = parse_qs(urlsplit(path).query)["query"]
                found = [
                    {"metric": dict(re.findall(r'(\w+)="([^"]*)"', name)), "value": [0, str(value)]}
                    for name, value in series.items()
                    if name.partition("{")[0] == asked
                ]
                return {"status": "success", "data": {"resultType": "vector", "result": found}}

            return programs.enter_context(answering({"/api/v1/query": query})).url

        yield make
