"""Finding what the store lacks, window by window, and writing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop.fill.gaps import Series, batch, find_missing, find_spacing, render, split
from perfloop.fill.stores import Side, Target, find_write_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop.fill.config import FillConfig

_MOST_SERIES = 2000  # of one question: with 60 samples each, a few megabytes
_OTHERWISE_MILLISECONDS = 5000  # the shipped scrape interval, for a series with a single sample
# The label by which the two of a pair differ: it is not stored, see prometheus/remote_write.yml.
_NOT_STORED = ("replica",)


@dataclass
class Outcome:
    """What was found and written.

    Attributes:
        compared: the samples of Prometheus that were looked for.
        missing: those that the store did not have.
        series: how many series they are of.
        written: those that were written.
        histograms: native histograms, which are not compared.
        windows: the windows with a gap, in milliseconds.
    """

    compared: int = 0
    missing: int = 0
    series: int = 0
    written: int = 0
    histograms: int = 0
    windows: list[tuple[int, int]] = field(default_factory=list)


def fill(config: FillConfig, now: float, say: Callable[[str], None]) -> Outcome:
    """Compare a span and write what is missing.

    Args:
        config: the span, and both sides.
        now: the present, in Unix seconds.
        say: where to report each window with a gap.

    Raises:
        ReadError: Prometheus or the store gave no usable answer.
        WriteError: the store refused samples; what was written before stays.
    """
    source, store = Side("Prometheus", config.source), Side("the long-term store", config.store)
    target = Target(config.store_write_url or find_write_url(config.store), config.store)
    outcome = Outcome()
    labels = source.read_external_labels(_NOT_STORED)
    span = (round((now - config.since) * 1000), round((now - config.until) * 1000))
    for start, end in split(*span, round(config.window * 1000)):
        missing = 0
        sizes = {name: size for name, size in source.count_series(start, end).items() if config.wants(name)}
        for names in batch(sizes, _MOST_SERIES):
            have, histograms = source.read(names, start, end, labels)
            outcome.histograms += histograms
            # A sample of the other Prometheus may lie just outside of the window.
            around = (start - _OTHERWISE_MILLISECONDS, end + _OTHERWISE_MILLISECONDS)
            lacking = _compare(have, store.read(names, *around)[0], outcome)
            if not lacking:
                continue
            missing += (count := sum(map(len, lacking.values())))
            if not config.dry_run:
                target.write(render(lacking))
                outcome.written += count
        if missing:
            outcome.missing += missing
            outcome.windows.append((start, end))
            say(f"{missing} samples are missing between {_clock(start)} and {_clock(end)}")
    if outcome.written:
        target.forget_results()
    return outcome


def _compare(have: Series, stored: Series, outcome: Outcome) -> Series:
    """Return the samples of each series that the store lacks."""
    lacking = {}
    for labels, samples in have.items():
        outcome.compared += len(samples)
        moments = [sample.at for sample in stored.get(labels, ())]
        if found := find_missing(samples, moments, find_spacing(samples, _OTHERWISE_MILLISECONDS)):
            lacking[labels] = found
    outcome.series += len(lacking)
    return lacking


def _clock(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
