"""Other limits for one service, one route, or one route of one service: the `overrides` of thresholds.yml.

A service's own limits are kept beside the signal's. A route with limits of its own is excluded from the service's
figure and becomes a signal of its own, `name@route`, as in the recorded series of the alerts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.promql import only_series, without_series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog.signals import Limit, Signal
    from perfloop_base.thresholds import Override, Severity

ROUTE_SEPARATOR = "@"


def replace_limits(usual: Limit, limits: Mapping[Severity, float]) -> Limit:
    """Return the limit with other numbers; a severity that they leave out is not judged."""
    return usual.model_copy(update={"warning": limits.get("warning"), "critical": limits.get("critical")})


def split_routes(signal: Signal, overrides: Sequence[Override]) -> list[Signal]:
    """Return the signal without the routes that have limits of their own, and one more signal for each of these."""
    routes = [override for override in overrides if override.route]
    services = {one.service: replace_limits(signal.limit, one.limits) for one in overrides if not one.route}
    left_out = [override.labels for override in routes]
    own_limits = {**signal.own_limits, **services}
    usual = signal.model_copy(update={"expr": without_series(signal.expr, left_out), "own_limits": own_limits})
    if signal.parts:
        parts = signal.parts.model_copy(update={"expr": without_series(signal.parts.expr, left_out)})
        usual = usual.model_copy(update={"parts": parts})
    return [usual, *(_route_signal(signal, override) for override in routes)]


def _route_signal(signal: Signal, override: Override) -> Signal:
    return signal.model_copy(
        update={
            "name": f"{signal.name}{ROUTE_SEPARATOR}{override.route}",
            "title": f"{signal.label}, route {override.route}",
            "expr": only_series(signal.expr, override.labels),
            "limit": replace_limits(signal.limit, override.limits),
            "parts": None,
            # The error budget is the service's.
            "detect": tuple(detector for detector in signal.detect if detector != "burn"),
        }
    )
