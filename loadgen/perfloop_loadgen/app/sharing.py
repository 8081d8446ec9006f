"""The shares of a load that processes send without a coordinator, and the one run that they are together.

Each process runs its share by itself, from one agreed moment on, and reports every count that it made. Counts and
histograms add up without loss, so that the merged run is the one that a single process would have measured; only the
timeline has the larger percentile of the shares for each second.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

import orjson

from perfloop_base.errors import ConfigError
from perfloop_base.quantities import quantity
from perfloop_loadgen.app.gates import Gates
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.merging import merge_books
from perfloop_loadgen.shares import listed, named
from perfloop_loadgen.store.snapshot import assembled, restored, steps
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import Document, State, distribution_of, iso_time
from perfloop_loadgen.summary.measured import histograms_of
from perfloop_loadgen.summary.share import ShareOf
from perfloop_loadgen.summary.verdict import Verdict, busier
from perfloop_loadgen.thresholds.coverage import cover
from perfloop_loadgen.thresholds.decide import NO_REQUEST, decide, schedule_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.app.workplace import Workplace
    from perfloop_loadgen.summary import Summary

NOT_JUDGED = "one share of a load is held to no threshold: `perfloop loadgen merge` judges all of them together"
# Shares that began further apart than this were not one load; clocks kept by NTP differ by milliseconds.
_MOST_APART_SECONDS = 1.0


def share_of(config: LoadTestConfig, workplace: Workplace, book: Book) -> ShareOf:
    """Return what the report of a share has for `merge`: every count, and what the run is judged by."""
    index, of = workplace.share
    start = workplace.start_unix
    file = config.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"base_url", "proxy"})
    return ShareOf(
        test=config.name,
        number=index + 1,
        of=of,
        start_at="" if start is None else iso_time(start),
        measured=orjson.loads(assembled(list(steps(book)), {}))["measured"],
        test_file=without_secrets(file),
    )


async def merge_shares(documents: Sequence[Document]) -> Document:
    """Return the run that shares of one load are together, judged by the thresholds of its test.

    Raises:
        ConfigError: with every reason why they are not shares of one load.
    """
    shares = _checked(documents)
    first = min(documents, key=lambda document: document.started_at)
    try:
        book = merge_books([restored(share.measured) for share in shares], Book(Labels()))
        config = LoadTestConfig.model_validate({"name": shares[0].test} | shares[0].test_file)
    except ValueError as error:
        raise ConfigError(f"the run {first.run_id} cannot be merged: {error}") from error
    began = [datetime.fromisoformat(document.started_at).timestamp() for document in documents]
    ends = [at + one.summary.duration_seconds for at, one in zip(began, documents, strict=True)]
    span = (min(began), max(ends))
    gates, unanswered = await Gates.of(config).judge(book, span)
    coverage = cover(config.scenarios, book)
    faults = [*_missing(shares), *_of_shares(documents), *_apart(began), *unanswered.values()]
    if book.load.target_rate is not None:
        faults += schedule_faults(config.generator_limits, book.total())
    verdict, reasons = decide(book.total(), gates, faults, coverage.failures)
    summary = replace(
        summarize(shares[0].test, book, span[1] - span[0], first.summary.end_reason),
        verdict=verdict,
        reasons=reasons,
        gates=gates,
        notes=[*_notes(documents, began), *coverage.notes],
    )
    return _document(documents, book, summary)


def _document(documents: Sequence[Document], book: Book, summary: Summary) -> Document:
    first = min(documents, key=lambda document: document.started_at)
    generator = reduce(busier, [document.generator for document in documents])
    stopped = [document.state for document in documents if document.state is not State.ENDED]
    return replace(
        first,
        run_id=uuid.uuid4().hex[:12],
        run_name="",
        share=None,
        summary=summary,
        generator=replace(generator, workers=sum(one.generator.workers for one in documents)),
        timeline=book.timeline(),
        distribution=distribution_of(book.total().response),
        histograms=histograms_of(book),
        state=stopped[0] if stopped else State.ENDED,
        server=None,
    )


def _checked(documents: Sequence[Document]) -> list[ShareOf]:
    """Return the shares of documents that belong together.

    Raises:
        ConfigError: with every reason why they do not.
    """
    problems = [
        f"the run {document.run_id} is no share of a load: `perfloop loadgen run --share 1/2` makes one"
        for document in documents
        if document.share is None
    ]
    shares = [document.share for document in documents if document.share is not None]
    for what, values in (
        ("test", [one.test for one in shares]),
        ("number of shares", [f"{one.of}" for one in shares]),
        ("moment of --start-at", [one.start_at or "none" for one in shares]),
        ("configuration", [one.config_hash for one in documents]),
        ("service", [one.base_url for one in documents]),
        ("version of the load generator", [one.generator_version for one in documents]),
    ):
        found = list(dict.fromkeys(values))
        if len(found) > 1:
            problems.append(f"the shares differ in their {what}: {', '.join(found)}")
    for number, times in sorted(Counter((one.number, one.of) for one in shares).items()):
        if times > 1:
            problems.append(f"the share {number[0]}/{number[1]} is given {times} times: its requests would count twice")
    if problems:
        raise ConfigError(problems)
    return shares


def _missing(shares: Sequence[ShareOf]) -> Iterator[str]:
    of = shares[0].of
    missing = sorted(set(range(1, of + 1)) - {share.number for share in shares})
    if missing:
        what, verb = ("shares", "are") if len(missing) > 1 else ("share", "is")
        yield f"{what} {listed(missing)} of {of} {verb} missing: what they sent is in no number"


def _of_shares(documents: Sequence[Document]) -> Iterator[str]:
    """Yield why a share says nothing, with its number: its generator was the limit, or it was stopped."""
    for document in documents:
        if document.share is None:
            continue
        name = f"share {named((document.share.number - 1, document.share.of))} ({document.host.name})"
        if document.summary.verdict is Verdict.INVALID:
            # A share of few arrivals may have none of them.
            yield from (f"{name}: {reason}" for reason in document.summary.reasons if reason != NO_REQUEST)
        elif document.state is not State.ENDED:
            yield f"{name} was {document.state} before its end"


def _apart(began: Sequence[float]) -> Iterator[str]:
    apart = max(began) - min(began)
    if apart > _MOST_APART_SECONDS:
        yield f"the shares began {quantity(apart, 'seconds')} apart: give each of them the same --start-at"


def _notes(documents: Sequence[Document], began: Sequence[float]) -> Iterator[str]:
    hosts = list(dict.fromkeys(document.host.name for document in documents))
    yield (
        f"{len(documents)} shares of one load from {len(hosts)} {'machine' if len(hosts) == 1 else 'machines'} "
        f"({', '.join(hosts)}): by their own clocks they began within {quantity(max(began) - min(began), 'seconds')}"
    )
