"""How long a prompt or an answer shall be: draws from a distribution."""

from __future__ import annotations

import json
import math
import random
from functools import partial
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfloop_loadgen.config.llm import LengthConfig

# A value outside of min and max is drawn again: moved to the bound, many of them would be exactly there.
_MOST_DRAWS = 100
# Longer than any model reads.
LONGEST = 100_000_000


def build_draw(config: LengthConfig) -> Callable[[str], int]:
    """Return the function that draws a length: the one that follows from a key, whoever draws it, and in any order.

    Raises:
        ConfigError: the file of lengths cannot be read, or holds anything else.
    """
    low, high = config.min or 1, config.max or LONGEST
    mean, stddev = config.mean or 1.0, config.stddev or 0.0
    match config.distribution:
        case "fixed":
            value = config.value or 1
            return lambda _: value
        case "uniform":
            return lambda key: _chance(key).randint(low, high)
        case "normal":
            return lambda key: _within(low, high, partial(_chance(key).gauss, mean, stddev))
        case "lognormal":
            # The parameters of the logarithm, from the moments of the value itself.
            variance = math.log1p((stddev / mean) ** 2)
            mu, sigma = math.log(mean) - variance / 2, math.sqrt(variance)
            return lambda key: _within(low, high, partial(_chance(key).lognormvariate, mu, sigma))
    lengths = read_lengths(config.file) if config.file else (1,)
    return lambda key: _chance(key).choice(lengths)


def _chance(key: str) -> random.Random:
    return random.Random(key)  # noqa: S311 - a length, not a secret


def _within(low: int, high: int, draw: Callable[[], float]) -> int:
    for _ in range(_MOST_DRAWS):
        value = round(draw())
        if low <= value <= high:
            return value
    return min(max(value, low), high)


def read_lengths(path: Path) -> tuple[int, ...]:
    """Return the lengths of a file, one on each line, or a JSON list.

    Raises:
        ConfigError: it cannot be read, is empty, or holds anything but whole numbers from 1 on.
    """
    what = f"file of lengths {path}"
    text = read_text(path, what)
    try:
        found = json.loads(text) if path.suffix == ".json" else [int(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what}: must hold a whole number on each line, or a JSON list of them: {error}") from error
    if not isinstance(found, list) or not found:
        raise ConfigError(f"{what}: must hold at least one length")
    for value in found:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST:
            raise ConfigError(f"{what}: {value!r}: must be a whole number from 1 to {LONGEST}")
    return tuple(found)
