"""What happens when measuring itself goes wrong: it is counted, told of once, and the measured call goes on."""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, ParamSpec

from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.metrics.series import CounterSeries

log = logging.getLogger("perfloop")
P = ParamSpec("P")


def failures_in(registry: MetricRegistry) -> CounterSeries:
    """The counter of a registry."""
    return registry.counter(
        "perfloop_instrumentation_errors_total", "Calls that worked but could not be measured in full."
    ).labels()


_failures = failures_in(DEFAULT)


def note_failure(error: Exception, counter: CounterSeries = _failures) -> None:
    """Count it; log the first. Even this may fail without anybody's noticing."""
    with contextlib.suppress(Exception):
        counter.inc()
        if counter.total == 1:
            log.warning("A call worked but was not measured in full (further ones are only counted): %r", error)


def never_raising(function: Callable[P, None]) -> Callable[P, None]:
    """Make a hook harmless to what it is hooked into."""

    @functools.wraps(function)
    def harmless(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a hook must not fail what it watches
            note_failure(error)

    return harmless
