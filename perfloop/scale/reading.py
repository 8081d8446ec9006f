"""Reads from Prometheus how many replicas a service should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop.scale.errors import NoAnswerError
from perfloop_base.scaling import MOST_REPLICAS
from perfloop_loadgen.errors import QueryError

if TYPE_CHECKING:
    from perfloop_loadgen.prometheus_api import PrometheusApi

# With two analyzers the higher number counts.
DESIRED = 'max(perfloop_desired_replicas{{service="{service}"}})'


async def read_desired(prometheus: PrometheusApi, service: str, at: float) -> int:
    """Return the number of replicas that the analyzer computes for a service now.

    Raises:
        NoAnswerError: Prometheus gives no answer, or the analyzer has none, or one that is no number of replicas.
    """
    try:
        found = await prometheus.instant(DESIRED.format(service=service), at)
    except QueryError as error:
        raise NoAnswerError(str(error)) from error
    if not found:
        raise NoAnswerError(f"{service}: there is no perfloop_desired_replicas, so that nothing is changed")
    value = found[0][1]
    if value != int(value) or not 0 <= value <= MOST_REPLICAS:
        rule = f"a number of replicas is whole, from 0 to {MOST_REPLICAS}"
        raise NoAnswerError(f"{service}: perfloop_desired_replicas is {value:g}; {rule}")
    return int(value)
