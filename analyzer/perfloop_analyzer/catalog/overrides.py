"""Other limits for one service, one route, or one route of one service: the `overrides` of thresholds.yml.

A service's own limits stand beside the signal's. A route with limits of its own is left out of the service's figure and
becomes a signal beside it, `name@route`, as the recorded series of the alerts have it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.catalog.limits import Override
    from perfloop_analyzer.catalog.signals import Signal

RATE = re.compile(r"rate\((?P<metric>[\w:]+)(?:\{(?P<matchers>[^}]*)\})?\[(?P<window>\$?\w+)\]\)")
BETWEEN = "@"


def with_overrides(signal: Signal, overrides: Sequence[Override]) -> list[Signal]:
    """Return the signal without the routes that have limits of their own, and one more signal for each of these."""
    routes = [one for one in overrides if one.route]
    services = {one.service: one.limit(signal.limit) for one in overrides if not one.route}
    usual = signal.model_copy(update={"expr": _without(signal.expr, routes), "own_limits": services})
    return [usual, *(_of_route(signal, one) for one in routes)]


def _without(expr: str, routes: Sequence[Override]) -> str:
    def less(found: re.Match[str]) -> str:
        left_out = "".join(f" unless {found['metric']}{{{one.matchers}}}" for one in routes)
        return f"({found[0]}{left_out})"

    return RATE.sub(less, expr) if routes else expr


def _of_route(signal: Signal, override: Override) -> Signal:
    def only(found: re.Match[str]) -> str:
        matchers = ",".join(filter(None, (found["matchers"], override.matchers)))
        return f"rate({found['metric']}{{{matchers}}}[{found['window']}])"

    return signal.model_copy(
        update={
            "name": f"{signal.name}{BETWEEN}{override.route}",
            "title": f"{signal.label}, of {override.route}",
            "expr": RATE.sub(only, signal.expr),
            "limit": override.limit(signal.limit),
            "detect": tuple(one for one in signal.detect if one != "burn"),
        }
    )
