"""A running Alertmanager with the committed configuration, and the inbox that it delivers to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.alerting_chain import Chain, quicker, start_alertmanagers, start_inbox

CHECKOUT = Path(__file__).resolve().parents[2]

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def config() -> Path:
    """The committed alertmanager.yml."""
    return CHECKOUT / "alertmanager" / "alertmanager.yml"


@pytest.fixture
def bare_chain(tmp_path: Path, alertmanager_binary: str) -> Iterator[Chain]:
    """An empty chain whose processes end with the test."""
    chain = Chain(tmp_path)
    try:
        yield chain
    finally:
        chain.stop()


@pytest.fixture
def chain(bare_chain: Chain) -> Chain:
    """An inbox and one Alertmanager whose waits are a fifth of the committed ones."""
    start_inbox(bare_chain)
    start_alertmanagers(bare_chain, rewrite=quicker)
    return bare_chain
