"""Failures of the instrumentation itself: counted, logged once, and never raised into the measured call."""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, ParamSpec

from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry
from perfloop_exporter.metrics.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.metrics.series import CounterSeries

log = logging.getLogger("perfloop")
P = ParamSpec("P")


def failures_in(registry: MetricRegistry) -> CounterSeries:
    """Return the registry's counter of such failures."""
    return registry.counter(
        "perfloop_instrumentation_errors_total", "Calls that succeeded but were not measured completely."
    ).labels()


_failures = failures_in(DEFAULT)


def note_failure(error: Exception, counter: CounterSeries = _failures) -> None:
    """Count a failure and log the first one; ignores failures of its own."""
    with contextlib.suppress(Exception):
        counter.inc()
        if counter.total == 1:
            what = f"{type(error).__name__}: {text_of(error)}"
            log.warning("A call succeeded but was not measured completely (further ones are only counted): %r", what)


def never_raising(function: Callable[P, None]) -> Callable[P, None]:
    """Decorate a hook so that its exceptions are counted instead of raised."""

    @functools.wraps(function)
    def harmless(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a hook must not fail its caller
            note_failure(error)

    return harmless
