"""Put a run together from its configuration."""

from __future__ import annotations

import time

from loadgen.app.journeys import build_plan
from loadgen.app.shapes import build_shape
from loadgen.config import LoadTestConfig
from loadgen.engines.http1.client import Http1Engine
from loadgen.pacing.shapes import RateShape, UserShape
from loadgen.runner.closed import ClosedLoop
from loadgen.runner.open import OpenLimits, OpenLoop
from loadgen.runner.plan import Plan
from loadgen.runner.run import Limits, LoadModel, Run
from loadgen.samples.book import Book
from loadgen.samples.labels import Labels
from loadgen.scenario.request import Target

CLOCK = time.monotonic_ns


def build_run(config: LoadTestConfig) -> Run:
    """Return a run that is ready to go."""
    target = Target.from_url(config.base_url)
    labels = Labels()
    plan = build_plan(config, target, labels)
    shape = build_shape(config)
    engine = Http1Engine(target, config.timeout_seconds, CLOCK)
    limits = Limits(shape.duration_seconds, config.timeout_seconds, config.max_errors)
    return Run(_model(config, shape, plan), engine, Book(labels), limits, CLOCK)


def _model(config: LoadTestConfig, shape: UserShape | RateShape, plan: Plan) -> LoadModel:
    if isinstance(shape, UserShape):
        return ClosedLoop(shape, plan, config.think_time_seconds, CLOCK)
    limits = OpenLimits(getattr(config.load, "max_in_flight", 1000), config.timeout_seconds)
    return OpenLoop(shape, plan, limits, CLOCK)
