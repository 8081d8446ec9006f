"""Put a run together from its configuration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_loadgen.app.engines import build_engine
from perfloop_loadgen.app.journeys import build_plan
from perfloop_loadgen.app.shapes import build_shape
from perfloop_loadgen.pacing.shapes import RateShape, UserShape
from perfloop_loadgen.pacing.shared_users import SharedUsers
from perfloop_loadgen.runner.closed import ClosedLoop
from perfloop_loadgen.runner.open import OpenLimits, OpenLoop
from perfloop_loadgen.runner.run import Limits, LoadModel, Run
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.scenario.request import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.runner.plan import Plan

CLOCK = time.monotonic_ns
# Which worker, of how many.
Share = tuple[int, int]
WHOLE: Share = (0, 1)


def build_run(config: LoadTestConfig, share: Share = WHOLE, open_book: Callable[[Labels], Book] = Book) -> Run:
    """Return a run that is ready to go: the whole of it, or one worker's share."""
    target = Target.from_url(config.base_url)
    labels = Labels()
    plan = build_plan(config, target, labels, share)
    shape = build_shape(config)
    limits = Limits(shape.duration_seconds, config.timeout_seconds, config.max_errors)
    return Run(
        _model(config, shape, plan, share), build_engine(config, target, CLOCK), open_book(labels), limits, CLOCK
    )


def _model(config: LoadTestConfig, shape: UserShape | RateShape, plan: Plan, share: Share) -> LoadModel:
    if isinstance(shape, UserShape):
        return ClosedLoop(SharedUsers(shape, *share), plan, config.think_time_seconds, CLOCK)
    most = getattr(config.load, "max_in_flight", 1000)
    loop = OpenLoop(shape, plan, OpenLimits(-(-most // share[1]), config.timeout_seconds), CLOCK)
    loop.share(*share)
    return loop
