"""What a document keeps beside the numbers: full histograms of every endpoint, and what alike configurations share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.histogram import Histogram, bucket_bounds
from perfloop_loadgen.samples.tally import Tally

# What may differ between two runs of one test: the service, what the run is called, and what it is judged by.
_FREE = ("base_url", "name", "thresholds", "seed")
_DIGITS = 16

Buckets = list[tuple[int, int]]


def config_hash(config: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that are equal for runs whose load was configured alike.

    The address, the name, the thresholds and the seed of prompts are left out: they may differ between two builds of
    one service.

    Args:
        config: a configuration in its JSON form, without secrets and defaults.
    """
    kept = {key: value for key, value in config.items() if key not in _FREE}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def histograms_of(book: Book) -> dict[str, dict[str, Buckets]]:
    """Return by endpoint and kind of time every bucket with values: (its lowest nanosecond, how many), ascending."""
    return {label: _of_tally(tally) for label, tally in book.rows()}


def _of_tally(tally: Tally) -> dict[str, Buckets]:
    kinds = {"response": tally.response, "service": tally.service, "lag": tally.lag}
    if tally.streams is not None:
        kinds |= {
            "first_token": tally.streams.first_token,
            "gap": tally.streams.gap,
            "stall": tally.streams.stall,
            "per_token": tally.streams.per_token,
        }
    return {kind: _buckets(histogram) for kind, histogram in kinds.items()}


def _buckets(histogram: Histogram) -> Buckets:
    return [(bucket_bounds(bucket)[0], histogram.counts[bucket]) for bucket in sorted(histogram.counts)]
