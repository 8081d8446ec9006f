"""What the tests of OTLP share: a current Prometheus with quick rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.otlp.receiver import Receiver, run_receiver
from tests.support.current_prometheus import HOW, find_current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def current_prometheus() -> Path:
    """A Prometheus 3."""
    found = find_current()
    if found is None:
        pytest.skip(f"no Prometheus 3 is here, whose OTLP receiver is tested: {HOW}")
    return found


@pytest.fixture(scope="module")
def receiver(current_prometheus: Path, tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Receiver]:
    """Prometheus with quick rules."""
    config = {"global": {"evaluation_interval": "1s"}}
    with run_receiver(current_prometheus, tmp_path_factory.mktemp("otlp"), checkout / "prometheus", config) as running:
        yield running
