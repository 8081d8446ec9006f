"""Values that an application may hand over by mistake or by an attack, and the check that a page survived them."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from perfloop_exporter.instrument.endpoint import ScrapeRequest, answer

if TYPE_CHECKING:
    from perfloop_exporter.metrics.registry import MetricRegistry


class Raising:
    """An object of which nearly nothing can be asked."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        return "Raising()"  # hypothesis prints it

    __float__ = __int__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = __str__  # type: ignore[assignment]


class Liar(str):
    """A string that does not behave like one."""

    __slots__ = ()

    def __str__(self) -> Liar:
        return self

    def replace(self, *_: Any, **__: Any) -> NoReturn:
        """Raise."""
        raise RuntimeError("no")

    encode = strip = lower = replace


def anything() -> st.SearchStrategy[Any]:
    """Objects of every kind, the awkward ones more often than not."""
    return st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=12),
        st.text('\ud800\udfff\x00\n\r"\\{}=,\u2028\u202e\x1b', max_size=6),
        st.sampled_from(
            [
                *("", "le", "quantile", "__name__", "a" * 1_000_000, "\ud800" * 300, "é" * 300),
                *(None, True, b"bytes", b"\xff\x00", 10**400, Fraction(1, 3), 1j, math.nan, math.inf),
                *(-math.inf, 1.7e308, -1.7e308, 5e-324, [], {}, object(), Ellipsis),
            ]
        ),
        st.builds(Raising),
        st.builds(pow, st.just(10), st.just(5000)),  # more digits than Python converts
        st.builds(Liar, st.just("liar")),
        st.floats(),
        st.integers(),
        st.binary(max_size=6),
    )


def mappings() -> st.SearchStrategy[Any]:
    """Mappings, and other objects in their place."""
    hashable = anything().filter(lambda value: not isinstance(value, list | dict | Raising))
    return st.one_of(st.dictionaries(hashable, anything(), max_size=4), st.none(), anything())


def check_page(registry: MetricRegistry) -> str:
    """Parse both formats with prometheus_client's own parsers and return the text format.

    No series may be there twice, no exemplar may be longer than OpenMetrics allows. Escaped quotes in exemplars are
    taken out first: the parser of prometheus_client counts them as quotes, Prometheus's does not.
    """
    families = registry.families()
    text = answer(ScrapeRequest(names=frozenset(["nothing"])), [])[0]
    assert text == b""
    plain, open_text = (answer(request, families)[0].decode() for request in (_TEXT, _OPEN))
    seen = set()
    for family in read_text(plain):
        for sample in family.samples:
            key = (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value))
            assert key not in seen, key
            seen.add(key)
            assert all(len(value) <= 256 for value in sample.labels.values())
    for family in read_openmetrics(_EXEMPLAR.sub(_without_escapes, open_text)):
        for sample in family.samples:
            if sample.exemplar:
                assert sum(len(name) + len(value) for name, value in sample.exemplar.labels.items()) <= 128
    return plain


_TEXT = ScrapeRequest(names=frozenset())
_OPEN = ScrapeRequest(accept="application/openmetrics-text")
_EXEMPLAR = re.compile(r' # \{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\} (?=[^{"\n]+$)', re.MULTILINE)


def _without_escapes(exemplar: re.Match[str]) -> str:
    return re.sub(r'\\["\\n]', "_", exemplar[0])
