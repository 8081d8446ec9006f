"""What a run has measured so far, as JSON and back: quickly made, on the event loop that also sends requests.

The counts themselves are kept, not numbers computed from them: to copy and write a dictionary is work in C, to sort
thousands of buckets for percentiles is not. It is made in steps of about a millisecond, and requests are sent between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pydantic import TypeAdapter

from perfloop_loadgen.samples.book import Book, Point
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_POINTS: TypeAdapter[list[Point]] = TypeAdapter(list[Point])
# Keys of dictionaries are not only texts: the kind is written beside them.
_TEXT, _NUMBER, _SEVERAL = "text", "number", "several"


def steps(book: Book) -> Iterator[bytes]:
    """Yield the parts of a snapshot: the timeline with the labels, then what was counted of each label.

    A label is whole in itself; between two of them another second may have been counted.
    """
    labels = list(book.labels)
    known = {"labels": labels, "points": book.timeline(), "peak_rate": book.peak_rate}
    yield orjson.dumps(known)
    for tally in book.totals[: len(labels)]:
        yield orjson.dumps(_plain(tally.to_wire()), option=orjson.OPT_NON_STR_KEYS)


def assembled(taken: Sequence[bytes], parts: Mapping[str, Any]) -> bytes:
    """Return the file of all parts of a snapshot, with further ones beside them."""
    known, *totals = map(orjson.Fragment, taken)
    return orjson.dumps({**parts, "measured": {"known": known, "totals": totals}})


def restored(measured: Mapping[str, Any]) -> Book:
    """Return the book that a snapshot was made of.

    Raises:
        ValueError: it is no snapshot.
    """
    try:
        known = measured["known"]
        book = Book(Labels(known["labels"]))
        totals = [Tally.from_wire(_read(wire)) for wire in measured["totals"]]
        book.restore(totals, _POINTS.validate_python(known["points"]), known["peak_rate"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it holds no measurements: {error!r}") from error
    return book


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if not isinstance(value, dict) or not value:
        return value
    key, held = next(iter(value.items()))
    if isinstance(key, str):
        return {_TEXT: {name: _plain(part) for name, part in value.items()}}
    if isinstance(key, int) and isinstance(held, int):
        return {_NUMBER: value}  # a histogram: thousands of entries, and none is looked at
    return {_SEVERAL: [[key, _plain(part)] for key, part in value.items()]}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(part) for part in value]
    if not isinstance(value, dict) or not value:
        return value
    [(kind, held)] = value.items()
    if kind == _TEXT:
        return {name: _read(part) for name, part in held.items()}
    if kind == _NUMBER:
        return {int(name): part for name, part in held.items()}
    return {tuple(key) if isinstance(key, list) else key: _read(part) for key, part in held}
