"""Understand what the command line names: tests, addresses, shares."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from perfloop_loadgen.app.session import Listen
from perfloop_loadgen.config import (
    LoadTestConfig,
    create_basic_load_test,
    create_endurance_test,
    create_spike_test,
    create_stress_test,
)
from perfloop_loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROFILES = {
    "basic": create_basic_load_test,
    "stress": create_stress_test,
    "spike": create_spike_test,
    "endurance": create_endurance_test,
}
_MOST_PORTS = 65_535


def choose_tests(
    file: Path | None, profile: str | None, names: Sequence[str] | None, *, one: bool = False
) -> list[LoadTestConfig]:
    """Return the tests that are meant."""
    if (file is None) == (profile is None):
        raise ConfigError(["give either a FILE or a --profile"])
    tests = {profile: PROFILES[profile]()} if profile else LoadTestConfig.all_from_yaml(file or Path())
    missing = [name for name in names or () if name not in tests]
    if missing:
        raise ConfigError([f"--test {name}: there is only {', '.join(tests)}" for name in missing])
    chosen = [tests[name] for name in names or tests]
    if one and len(chosen) != 1:
        raise ConfigError(
            [f"{file} holds {len(chosen)} tests ({', '.join(tests)}): say with --test which one is meant"]
        )
    return chosen


def aimed_at(url: str | None, config: LoadTestConfig) -> LoadTestConfig:
    """Return the test with another service under it."""
    if url is None:
        return config
    try:
        config.base_url = url
    except ValidationError as error:
        raise ConfigError([f"--url: {url!r}: must start with http:// or https://"]) from error
    return config


def listen_address(text: str) -> Listen:
    """Read HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > _MOST_PORTS:
        raise argparse.ArgumentTypeError(f"{text!r}: must be HOST:PORT, as in 127.0.0.1:19120")
    return Listen(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - an empty host means every address, as in Go


def percent(text: str) -> float:
    """Read a share: `10` or `10%`."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of per cent, as in 10") from error
    if share < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: must not be negative")
    return share
