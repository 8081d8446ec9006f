"""Put a run together from its configuration."""

from __future__ import annotations

import time

from loadgen.config import LoadTestConfig
from loadgen.engines.http1.client import Http1Engine
from loadgen.pacing.constant_users import ConstantUsers
from loadgen.runner.closed import ClosedLoop
from loadgen.runner.run import Limits, Run
from loadgen.samples.book import Book
from loadgen.scenario.mix import spread
from loadgen.scenario.request import Request, Target, build_request

CLOCK = time.monotonic_ns


def build_run(config: LoadTestConfig) -> Run:
    """Return a run that is ready to go."""
    target = Target.from_url(config.base_url)
    labels = list(dict.fromkeys(endpoint.label for endpoint in config.endpoints))
    # Endpoints of one label are one row: a series of that name can exist only once.
    requests = [build_request(labels.index(endpoint.label), endpoint, target) for endpoint in config.endpoints]
    duration = config.duration_seconds or None
    shape = ConstantUsers(config.concurrent_users, duration, config.ramp_up_seconds, config.ramp_down_seconds)
    model = ClosedLoop(shape, _cycle(config, requests), config.think_time_seconds, CLOCK)
    engine = Http1Engine(target, config.timeout_seconds, CLOCK)
    limits = Limits(duration, config.timeout_seconds, config.max_errors)
    return Run(model, engine, Book(labels), limits, CLOCK)


def _cycle(config: LoadTestConfig, requests: list[Request]) -> list[Request]:
    return [requests[index] for index in spread([endpoint.weight for endpoint in config.endpoints])]
