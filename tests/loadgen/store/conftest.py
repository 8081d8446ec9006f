"""The store that tests of it share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.store.location import make_directory
from perfloop_loadgen.store.runs import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[RunStore]:
    """The store of the home directory, as a run opens it at its end."""
    make_directory()
    opened = RunStore(repair=True)
    yield opened
    opened.close()
