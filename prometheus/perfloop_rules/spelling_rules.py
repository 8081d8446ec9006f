"""Recording rules that record foreign series under our names: made of the table that `spellings` reads.

Each form of a source becomes a rule, that of a histogram three: relabelled by `label_replace`, added up over the labels
that we do not know (so their number is bounded, whatever an application attaches), in base units, with the foreign name
as the label `spelling`. Values stay counters. A form is left out for every service and instance that our own series
(which have no such label) or an earlier form has, so nothing is counted twice.

Every expression is valid in Prometheus 2.42, where names with dots are written as values of `__name__` and as the
source of a `label_replace`: there they select nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.promql import quote
from perfloop_rules.spellings import WHO, Names, Source, Spelling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Rule = dict[str, Any]
SPELLING = "spelling"
UNNAMED = "unknown_service"  # as OpenTelemetry's SDKs call a service without a name
# Bounds that are powers of the square root of 2, from about 1 ms to 32 s. Each is a bound of every exponential
# histogram whose buckets are at most that wide (scale 1 and up): counts are exact, and never fall when the SDK merges
# buckets.
_BOUNDS = 31
# Half as often as other rules: they cost the more of a processor the more names are known, whoever uses them.
INTERVAL = "10s"
_FIRST_BOUND_SECONDS = 0.001
_NATIVE = "native"


@dataclass(frozen=True, slots=True)
class _Form:
    """One way in which a source is written: its name and those of its labels with dots, or with underscores."""

    metric: str
    source: Source
    has_dots: bool

    @property
    def series(self) -> str:
        """The name of its series, without the endings of a histogram."""
        return self.source.series if self.has_dots else _plain(self.source.series)

    @property
    def name(self) -> str:
        """What the label `spelling` says: each form has its own."""
        if self.source.name == self.source.series:
            return self.series
        return self.source.name if self.has_dots or "." not in self.source.series else f"{self.source.name} (plain)"

    @property
    def labels(self) -> dict[str, Names]:
        """The labels, each with those it is taken from; a name without dots says nothing about those of its labels."""
        return {
            label: tuple(dict.fromkeys(form for one in candidates for form in self._forms_of(one)))
            for label, candidates in self.source.labels.items()
        }

    def _forms_of(self, label: str) -> Names:
        if "." not in self.source.series:
            return (label, _plain(label))
        return (label,) if self.has_dots else (_plain(label),)


def recording_groups(spellings: Iterable[Spelling]) -> list[Rule]:
    """Return a group of recording rules for each metric; rules of one group see what those before them recorded."""
    return [
        {"name": f"spellings of {spelling.metric}", "interval": INTERVAL, "rules": list(_rules(spelling))}
        for spelling in spellings
    ]


def _rules(spelling: Spelling) -> Iterator[Rule]:
    earlier: list[str] = []
    for form in _forms(spelling):
        yield from _classic(form, spelling.type, _unless(form, spelling.type, earlier))
        earlier.append(form.name)
        if form.source.is_native_too and form.has_dots:
            yield from _exponential(form, _unless(form, spelling.type, earlier))
            earlier.append(_native_name(form))


def _forms(spelling: Spelling) -> Iterator[_Form]:
    for source in spelling.sources:
        if "." in source.series:
            yield _Form(spelling.metric, source, has_dots=True)
        yield _Form(spelling.metric, source, has_dots=False)


def _classic(form: _Form, kind: str, unless: str) -> Iterator[Rule]:
    metric, shift = form.metric, form.source.shift
    if kind != "histogram":
        yield _rule(metric, form.name, _scaled(_collect(form, ""), shift) + unless)
        return
    yield _rule(f"{metric}_bucket", form.name, _collect(form, "_bucket") + unless)
    yield _rule(f"{metric}_count", form.name, _collect(form, "_count") + unless)
    yield _rule(f"{metric}_sum", form.name, _scaled(_collect(form, "_sum"), shift) + unless)


def _exponential(form: _Form, unless: str) -> Iterator[Rule]:
    """Yield the rules that make a classic histogram of an exponential one."""
    metric, shift, name = form.metric, form.source.shift, _native_name(form)
    whole = f"{SPELLING}:{metric}:{_NATIVE}"
    yield _rule(whole, name, _collect(form, "") + unless)
    histogram = f"{whole}{{{SPELLING}={quote(name)}}}"
    total = f"histogram_count({histogram})"
    first = round(2 * math.log2(_FIRST_BOUND_SECONDS * 10**shift))
    for exponent in range(first, first + _BOUNDS):
        bound = 2 ** (exponent / 2)
        # Rounded: a count is whole, and a fraction times it may miss that by the last digit.
        count = f"round({total} * histogram_fraction(-Inf, {bound!r}, {histogram}))"
        yield _rule(f"{metric}_bucket", name, count, le=_bound(bound / 10**shift))
    yield _rule(f"{metric}_bucket", name, total, le="+Inf")
    yield _rule(f"{metric}_count", name, total)
    yield _rule(f"{metric}_sum", name, _scaled(f"histogram_sum({histogram})", shift))


def _bound(seconds: float) -> str:
    text = f"{seconds:.9f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _native_name(form: _Form) -> str:
    return f"{form.name} ({_NATIVE})"


def _rule(record: str, spelling: str, expr: str, **labels: str) -> Rule:
    return {"record": record, "expr": expr, "labels": {SPELLING: spelling, **labels}}


def _unless(form: _Form, kind: str, earlier: list[str]) -> str:
    """Return what leaves out the services and instances that our own series, or an earlier form, has."""
    own = f"{form.metric}_count" if kind == "histogram" else form.metric
    # The empty alternative is a series without the label: one of our own.
    names = quote("|".join(["", *map(_as_pattern, earlier)]))
    return f' unless on ({", ".join(form.source.once_per)}) {own}{{service!="",{SPELLING}=~{names}}}'


def _as_pattern(text: str) -> str:
    return text.replace(".", "[.]").replace("(", "[(]").replace(")", "[)]")


def _collect(form: _Form, ending: str) -> str:
    """Return a form's series with our labels, the others added up."""
    source = form.source
    vector = _selector(form, ending)
    for label, candidates in form.labels.items():
        vector = _take(vector, label, candidates)
    # The service is what everything is read by: a series of none would be found by nobody.
    vector = _replaced(vector, "service", UNNAMED, "service", "")
    by = [*WHO, *(label for label in source.labels if label not in WHO)]
    if ending == "_bucket":
        vector = _with_base_bounds(vector, source.shift)
        by.append("le")
    # A vector without labels matches what has the label empty.
    needed = "".join(f" unless on ({label}) vector(1)" for label in source.needs)
    return f"sum by ({', '.join(by)}) ({vector}){needed}"


def _selector(form: _Form, ending: str) -> str:
    name = form.series + ending
    matchers = [f"__name__={quote(name)}"] if form.has_dots else []
    if name == form.metric + ending:
        # Our own name: only of an application that nobody gave a service, which all of our series have.
        matchers.append('service=""')
    if form.source.where:
        matchers.append(form.source.where)
    selected = "{" + ",".join(matchers) + "}" if matchers else ""
    return selected if form.has_dots else name + selected


def _take(vector: str, label: str, candidates: Names) -> str:
    """Return the vector with the label set from the first of the candidates that has a value."""
    if label not in candidates:
        # The last to be put in place is the best.
        for name in reversed(candidates):
            vector = _replaced(vector, label, "$1", name, "(.+)")
        return vector
    if candidates == (label,):
        return vector
    # The label itself is among them, and must not be written over while it is read.
    for name in candidates:
        if name != _plain(name):
            vector = _replaced(vector, _plain(name), "$1", name, "(.+)")
    if "job" in candidates:
        vector = _replaced(vector, "job", "$1", "job", "(?:.*/)?([^/]+)")
    joined = f'label_join({vector}, "{label}", ";", {", ".join(map(quote, dict.fromkeys(map(_plain, candidates))))})'
    return _replaced(joined, label, "$1", label, ";*([^;]*).*")


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _with_base_bounds(vector: str, shift: int) -> str:
    """Return buckets whose `le` is in base units, written as our own are: `0.25`, `1.0`.

    The bounds are decimal numbers without an exponent: 250 becomes 000250, then 000.250, then 0.25.
    """
    if shift:
        vector = _replaced(vector, "le", "0" * shift + "$1", "le", r"([0-9.]+)")
        vector = _replaced(vector, "le", "$1.$2$3", "le", rf"([0-9]*)([0-9]{{{shift}}})(?:\.([0-9]+))?")
        vector = _replaced(vector, "le", "$1.$2", "le", r"0*([0-9]+)\.([0-9]+?)0*")
    return _replaced(vector, "le", "$1.0", "le", r"([0-9]+)")


def _replaced(vector: str, label: str, value: str, source: str, pattern: str) -> str:
    return f"label_replace({vector}, {quote(label)}, {quote(value)}, {quote(source)}, {quote(pattern)})"


def _scaled(vector: str, shift: int) -> str:
    return f"{vector} / {10**shift}" if shift else vector
