"""From a configuration to a run that is ready to go: load shape, engine, journeys, limits."""

from __future__ import annotations

import ssl
import time
from functools import partial
from itertools import count, cycle
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.load import (
    BreakpointConfig,
    ConstantRateConfig,
    EnduranceConfig,
    PoissonRateConfig,
    RampingRateConfig,
    RampingUsersConfig,
    SpikeConfig,
)
from perfloop_loadgen.config.scenario import StepConfig
from perfloop_loadgen.engines.http1.client import Http1Engine
from perfloop_loadgen.pacing import (
    ConstantRate,
    ConstantUsers,
    Endurance,
    PoissonRate,
    RampingRate,
    RampingUsers,
    RateShape,
    Spike,
    Stage,
    UserShape,
    UserShare,
)
from perfloop_loadgen.runner.closed import ClosedLoop
from perfloop_loadgen.runner.open import OpenLimits, OpenLoop
from perfloop_loadgen.runner.run import Limits, LoadModel, Run
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.scenario.feeder import feed, read_rows
from perfloop_loadgen.scenario.journey import Journey, Step, play_steps
from perfloop_loadgen.scenario.llm import prompt_endpoints
from perfloop_loadgen.scenario.pattern import check_pattern
from perfloop_loadgen.scenario.plan import Plan, spread
from perfloop_loadgen.scenario.request import Request, Target, build_request
from perfloop_loadgen.scenario.template import fill, fill_path, is_open
from perfloop_loadgen.scenario.user import User, load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfloop_loadgen.config import EndpointConfig, LoadTestConfig, ScenarioConfig
    from perfloop_loadgen.config.scenario import LlmConfig
    from perfloop_loadgen.ports import Clock, Engine

CLOCK = time.monotonic_ns
# Which worker, of how many.
Share = tuple[int, int]
WHOLE: Share = (0, 1)
_DEFAULT_MAX_IN_FLIGHT = 1000
# A spike without an end takes its times from a duration of two minutes.
_ENDLESS_SPIKE_SECONDS = 120.0


def build_run(config: LoadTestConfig, share: Share = WHOLE, open_book: Callable[[Labels], Book] = Book) -> Run:
    """Return a run that is ready to go: the whole of it, or one worker's share.

    Raises:
        ConfigError: a file that the configuration names cannot be used.
    """
    target = Target.from_url(config.base_url)
    labels = Labels()
    plan = build_plan(config, target, labels, share)
    shape = build_shape(config)
    limits = Limits(shape.duration_seconds, config.timeout_seconds, config.max_errors)
    model = _build_model(config, shape, plan, share)
    return Run(model, build_engine(config, target, CLOCK), open_book(labels), limits, CLOCK)


def _build_model(config: LoadTestConfig, shape: UserShape | RateShape, plan: Plan, share: Share) -> LoadModel:
    if isinstance(shape, UserShape):
        return ClosedLoop(UserShare(shape, *share), plan, config.think_time_seconds, CLOCK)
    max_in_flight = getattr(config.load, "max_in_flight", _DEFAULT_MAX_IN_FLIGHT)
    # Rounded up: the workers together may have a few more under way than was asked for, never fewer.
    loop = OpenLoop(shape, plan, OpenLimits(-(-max_in_flight // share[1]), config.timeout_seconds), CLOCK)
    loop.share(*share)
    return loop


def build_shape(config: LoadTestConfig) -> UserShape | RateShape:
    """Return the shape; without a section `load`, the users with their ramps."""
    return build_rate_shape(config) or _build_user_shape(config)


def build_rate_shape(config: LoadTestConfig) -> RateShape | None:
    """Return the open shape that is asked for, if one is."""
    duration = config.duration_seconds or None
    match config.load:
        case ConstantRateConfig(rate=rate):
            return ConstantRate(rate, duration)
        case BreakpointConfig(start_rate=rate, step_seconds=seconds):
            return ConstantRate(rate, seconds)
        case PoissonRateConfig(rate=rate, seed=seed):
            return PoissonRate(rate, duration, seed)
        case RampingRateConfig(start_rate=start, stages=stages):
            return RampingRate(start, tuple(Stage(stage.rate, stage.seconds) for stage in stages))
    return None


def _build_user_shape(config: LoadTestConfig) -> UserShape:
    duration = config.duration_seconds or None
    match config.load:
        case RampingUsersConfig(start_users=start, stages=stages):
            return RampingUsers(start, tuple(Stage(stage.users, stage.seconds) for stage in stages))
        case SpikeConfig() as spike:
            return _build_spike(spike, config.concurrent_users, duration)
        case EnduranceConfig():
            return Endurance(config.concurrent_users, duration)
    return ConstantUsers(config.concurrent_users, duration, config.ramp_up_seconds, config.ramp_down_seconds)


def _build_spike(spike: SpikeConfig, peak: int, duration: float | None) -> Spike:
    quarter = (duration or _ENDLESS_SPIKE_SECONDS) / 4
    return Spike(
        base=spike.base_users or max(1, peak // 10),
        peak=peak,
        after_seconds=spike.spike_after_seconds or quarter,
        spike_seconds=spike.spike_seconds or quarter,
        rise_seconds=spike.rise_seconds,
        duration_seconds=duration,
    )


def build_engine(config: LoadTestConfig, target: Target, clock: Clock) -> Engine:
    """Return the program's own HTTP/1.1, or httpx."""
    tls = _build_tls(config) if target.scheme == "https" else None
    if config.engine == "httpx":
        from perfloop_loadgen.engines.httpx_engine import HttpxEngine, HttpxLimits  # heavy, and most runs do without

        limits = HttpxLimits(config.timeout_seconds, config.max_body_bytes)
        return HttpxEngine(target, limits, clock, tls=tls, http2=config.http2)
    return Http1Engine(target, config.timeout_seconds, clock, tls, max_body_bytes=config.max_body_bytes)


def _build_tls(config: LoadTestConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls.ca_file: {config.tls.ca_file}: cannot be used: {error}") from error
    if not config.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def build_plan(config: LoadTestConfig, target: Target, labels: Labels, share: Share = WHOLE) -> Plan:
    """Return the cycle of endpoints and scenarios with their data; a share of the data for one worker of several."""
    builder = _JourneyBuilder(target, labels)
    weighted = [(builder.from_endpoint(endpoint), endpoint.weight) for endpoint in config.requested]
    weighted += [(builder.from_scenario(scenario), scenario.weight) for scenario in config.scenarios]
    order = [weighted[index][0] for index in spread([weight for _, weight in weighted])]
    return Plan(order, _read_values(config, share))


def _read_values(config: LoadTestConfig, share: Share) -> Iterator[Mapping[str, Any]]:
    index, of = share
    rows: Iterator[Mapping[str, Any]] = feed(read_rows(config.data_file), index, of) if config.data_file else feed([{}])
    return ({"iteration": number, **row} for number, row in zip(count(index, of), rows, strict=False))


class _JourneyBuilder:
    def __init__(self, target: Target, labels: Labels) -> None:
        self._target = target
        self._labels = labels

    def from_endpoint(self, endpoint: EndpointConfig) -> Journey:
        index = self._labels.index(endpoint.label)
        if endpoint.llm is not None:
            return self._chat(endpoint, endpoint.llm, index)
        if not _is_open(endpoint) and not endpoint.stream:
            return Journey(endpoint.label, index, only=build_request(index, endpoint, self._target))
        step = Step(self._request_builder(endpoint), {})
        return Journey(endpoint.label, index, play=partial(play_steps, [step]))

    def from_scenario(self, scenario: ScenarioConfig) -> Journey:
        if scenario.python is not None:
            function = load_scenario(scenario.python)
            index = self._labels.index(scenario.name)
            return Journey(scenario.name, index, play=lambda values: function(User(values, self._read)))
        _check_patterns(scenario)
        steps = [Step(self._request_builder(step), step.extract, step.think_time_seconds) for step in scenario.steps]
        return Journey(scenario.name, self._labels.index(scenario.steps[0].label), play=partial(play_steps, steps))

    def _chat(self, endpoint: EndpointConfig, llm: LlmConfig, index: int) -> Journey:
        requests = [build_request(index, prompt, self._target) for prompt in prompt_endpoints(endpoint, llm)]
        # One cycle for all users: no prompt comes twice before every other one has been used.
        prompts = cycle(requests)
        return Journey(
            endpoint.label, index, play=lambda values: play_steps([Step(lambda _: next(prompts), {})], values)
        )

    def _read(self, endpoint: EndpointConfig) -> Request:
        """Return a request whose answer the scenario's own code gets, body and all."""
        return build_request(self._labels.index(endpoint.label), endpoint, self._target, wants_body=True)

    def _request(self, endpoint: EndpointConfig) -> Request:
        # A body that nobody looks at is not kept: a stream may be as long as its server likes.
        looked_into = isinstance(endpoint, StepConfig) and bool(endpoint.extract)
        return build_request(self._labels.index(endpoint.label), endpoint, self._target, wants_body=looked_into)

    def _request_builder(self, endpoint: EndpointConfig) -> Callable[[Mapping[str, Any]], Request]:
        """Return what makes the request from the values of a pass; one without open parts is made once."""
        if not _is_open(endpoint):
            request = self._request(endpoint)
            return lambda _: request
        label = endpoint.label
        self._labels.index(label)

        def build(values: Mapping[str, Any]) -> Request:
            filled = {
                "name": label,
                "path": fill_path(endpoint.path, values),
                "data": fill(endpoint.data, values),
                "headers": fill(endpoint.headers, values),
            }
            return self._request(endpoint.model_copy(update=filled))

        return build


def _check_patterns(scenario: ScenarioConfig) -> None:
    for step in scenario.steps:
        for name, source in step.extract.items():
            kind, _, pattern = source.partition(":")
            if kind == "regex":
                check_pattern(pattern, f"scenario {scenario.name!r}: extract {name!r}")


def _is_open(endpoint: EndpointConfig) -> bool:
    return is_open([endpoint.path, endpoint.data, endpoint.headers])
