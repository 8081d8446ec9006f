"""From a configuration to a run that is ready to go: load shape, engine, journeys, limits."""

from __future__ import annotations

import random
import time
from array import array
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.filling import ITERATION, check_names, filled_from_environment, parts_of
from perfloop_loadgen.app.routing import build_route, build_tls
from perfloop_loadgen.config.addresses import ServiceUrl
from perfloop_loadgen.config.load import (
    BreakpointConfig,
    ConstantRateConfig,
    EnduranceConfig,
    PoissonRateConfig,
    RampingRateConfig,
    RampingUsersConfig,
    SpikeConfig,
    TraceConfig,
)
from perfloop_loadgen.engines.dialing import Tls
from perfloop_loadgen.engines.http1.client import Http1Engine
from perfloop_loadgen.pacing import (
    ConstantRate,
    ConstantUsers,
    Endurance,
    PoissonRate,
    RampingRate,
    RampingUsers,
    RateShape,
    RecordedRate,
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
from perfloop_loadgen.scenario.feeder import Row, feed, read_rows
from perfloop_loadgen.scenario.journey import Journey, Step, play_steps
from perfloop_loadgen.scenario.llm.chat import Chat, Origin
from perfloop_loadgen.scenario.pattern import check_pattern
from perfloop_loadgen.scenario.plan import Plan, spread
from perfloop_loadgen.scenario.request import Reading, Request, Target, build_request
from perfloop_loadgen.scenario.template import fill, fill_path, is_open
from perfloop_loadgen.scenario.traces import BLOCK_TOKENS, HASH_IDS, INPUT_TOKENS, OUTPUT_TOKENS, read_trace
from perfloop_loadgen.scenario.tracing import Tracer
from perfloop_loadgen.scenario.user import User, load_scenario
from perfloop_loadgen.shares import WHOLE, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from perfloop_loadgen.config import EndpointConfig, LoadTestConfig, ScenarioConfig
    from perfloop_loadgen.config.llm import LlmConfig
    from perfloop_loadgen.config.scenario import PartConfig
    from perfloop_loadgen.ports import Clock, Engine

CLOCK = time.monotonic_ns
_DEFAULT_MAX_IN_FLIGHT = 1000
# A spike without an end takes its times from a duration of two minutes.
_ENDLESS_SPIKE_SECONDS = 120.0
# What a pass of a trace has besides the columns of data.
_TRACE_NAMES = (INPUT_TOKENS, OUTPUT_TOKENS, HASH_IDS, BLOCK_TOKENS)


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a load a run sends, and from when on.

    Attributes:
        share: which of its arrivals and users.
        from_seconds: the second of the load from which on this run sends them; before it, another sender did.
        start_unix: the moment at which the load begins, in Unix seconds; None: as soon as it is ready.
    """

    share: Share = WHOLE
    from_seconds: float = 0.0
    start_unix: float | None = None


ALL = Part()


def build_run(config: LoadTestConfig, part: Part = ALL, open_book: Callable[[Labels], Book] = Book) -> Run:
    """Return a run that is ready to go: the whole of it, or one worker's share.

    Raises:
        ConfigError: a file that the configuration names cannot be used.
    """
    target = Target.from_url(config.base_url)
    labels = Labels()
    plan = build_plan(config, target, labels, part.share)
    shape = build_shape(config)
    limits = Limits(shape.duration_seconds, config.timeout_seconds, config.max_errors, part.start_unix)
    model = _build_model(config, shape, plan, part)
    run = Run(model, _build_client(config, target, part.share[0]), open_book(labels), limits, CLOCK)
    if config.trace_sampling:
        run.trace(Tracer(config.trace_sampling))
    return run


def _build_model(config: LoadTestConfig, shape: UserShape | RateShape, plan: Plan, part: Part) -> LoadModel:
    share = part.share
    if isinstance(shape, UserShape):
        return ClosedLoop(UserShare(shape, *share), plan, config.think_time_seconds, CLOCK)
    max_in_flight = getattr(config.load, "max_in_flight", _DEFAULT_MAX_IN_FLIGHT)
    # Rounded up: the workers together may have a few more under way than was asked for, never fewer.
    loop = OpenLoop(shape, plan, OpenLimits(-(-max_in_flight // share[1]), config.timeout_seconds), CLOCK)
    loop.share(*share, part.from_seconds)
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
        case TraceConfig() as trace:
            return _build_trace(trace, config.duration_seconds if "duration_seconds" in config.model_fields_set else 0)
    return None


def _build_trace(trace: TraceConfig, at_most_seconds: float) -> RecordedRate:
    seconds = read_trace(trace).seconds
    window = seconds[-1] if trace.end_seconds is None else trace.end_seconds - trace.start_seconds
    duration = window / trace.speed
    due = seconds if trace.speed == 1 else array("d", (moment / trace.speed for moment in seconds))
    return RecordedRate(due, min(duration, at_most_seconds) if at_most_seconds else duration)


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


def build_engine(config: LoadTestConfig, target: Target, clock: Clock, first: int = 0) -> Engine:
    """Return the program's own HTTP/1.1, or httpx; `first` is which of several addresses it begins with.

    Raises:
        ConfigError: the target cannot be reached as the configuration says.
    """
    route = build_route(config, target, first)
    tls = Tls(build_tls(config), target.host) if target.scheme == "https" else None
    if config.engine == "httpx":
        from perfloop_loadgen.engines.httpx_engine import HttpxEngine, HttpxOptions  # heavy, and most runs do without

        options = HttpxOptions(config.timeout_seconds, config.max_body_bytes, http2=bool(config.http2))
        return HttpxEngine(target, route, options, clock, tls)
    return Http1Engine(route, config.timeout_seconds, clock, tls, max_body_bytes=config.max_body_bytes)


def _build_client(config: LoadTestConfig, target: Target, first: int) -> Engine:
    """Return the engine, with the habits of a browser that the test asks for."""
    engine = build_engine(config, target, CLOCK, first)
    if config.redirects != "follow" and not config.cookies:
        return engine
    from perfloop_loadgen.engines.browsing import BrowsingEngine, Habits  # most runs do without

    habits = Habits(follows=config.redirects == "follow", keeps_cookies=config.cookies)
    return BrowsingEngine(engine, target, habits, lambda origin: build_engine(config, origin, CLOCK), CLOCK)


def build_plan(config: LoadTestConfig, target: Target, labels: Labels, share: Share = WHOLE) -> Plan:
    """Return the cycle of endpoints and scenarios with their data; a share of the data for one worker of several."""
    rows = check_filling(config)
    config = filled_from_environment(config)
    seed = config.seed if config.seed is not None else fresh_seed()
    builder = _JourneyBuilder(target, labels, config.max_body_bytes, Origin(seed, 0, *share))
    weighted = [(builder.from_endpoint(endpoint), endpoint.weight) for endpoint in config.requested]
    weighted += [
        (builder.from_scenario(number, scenario), scenario.weight) for number, scenario in enumerate(config.scenarios)
    ]
    order = [weighted[index][0] for index in spread([weight for _, weight in weighted])]
    return Plan(order, _read_values(config, rows, share))


def check_filling(config: LoadTestConfig) -> list[Row]:
    """Check that everything that fills the requests is there, and return the rows of data.

    Raises:
        ConfigError: with every placeholder that nothing fills, or why the data cannot be used.
    """
    filled_from_environment(config)
    rows = read_rows(config.data_file) if config.data_file else []
    check_names(config, rows, _TRACE_NAMES if isinstance(config.load, TraceConfig) else ())
    return rows


def _read_values(config: LoadTestConfig, rows: Sequence[Row], share: Share) -> Iterator[Mapping[str, Any]]:
    index, of = share
    fed = feed(rows or [{}], index, of)
    values = ({ITERATION: number, **row} for number, row in zip(count(index, of), fed, strict=False))
    if not isinstance(config.load, TraceConfig):
        return values
    traced = read_trace(config.load).values(config.load.block_tokens, index, of)
    return ({**had, **one} for one, had in zip(values, traced, strict=False))


class _JourneyBuilder:
    def __init__(self, target: Target, labels: Labels, max_body_bytes: int, origin: Origin) -> None:
        self._target = target
        self._base = ServiceUrl(target.scheme, target.host, target.port, target.prefix)
        self._labels = labels
        self._max_body_bytes = max_body_bytes
        # Of the prompts; each endpoint of a language model takes a place of its own.
        self._origin = origin

    def from_endpoint(self, endpoint: EndpointConfig) -> Journey:
        index = self._labels.index(endpoint.label)
        if endpoint.llm is not None:
            return Journey(endpoint.label, index, play=self._chat(endpoint, endpoint.llm).converse)
        if not _is_open(endpoint) and not endpoint.stream:
            return Journey(endpoint.label, index, only=self._request_builder(endpoint)({}))
        step = Step(self._request_builder(endpoint))
        return Journey(endpoint.label, index, play=partial(play_steps, [step]))

    def from_scenario(self, number: int, scenario: ScenarioConfig) -> Journey:
        if scenario.python is not None:
            function = load_scenario(scenario.python)
            index = self._labels.index(scenario.name)
            return Journey(scenario.name, index, play=lambda values: function(User(values, self._read)))
        _check_patterns(scenario)
        steps = [
            Step(self._request_builder(step, (number, place)), step.think_time_seconds)
            for place, step in enumerate(scenario.steps, 1)
        ]
        index = self._labels.index(scenario.steps[0].label)
        return Journey(scenario.name, index, play=partial(play_steps, steps), scenario=number)

    def _chat(self, endpoint: EndpointConfig, llm: LlmConfig, step: tuple[int, int] | None = None) -> Chat:
        self._origin = self._origin._replace(place=self._origin.place + 1)
        index = self._labels.index(endpoint.label)

        def build(filled: EndpointConfig, reads: bool) -> Request:  # noqa: FBT001 - what `Chat` calls it with
            return build_request(index, filled, self._target, Reading(reads, self._max_body_bytes, step))

        return Chat(endpoint, llm, self._origin, build)

    def _read(self, endpoint: EndpointConfig) -> Request:
        """Return a request whose answer the scenario's own code gets, body and all.

        Raises:
            ConfigError: it has a section `llm`.
        """
        if endpoint.llm is not None:
            raise ConfigError("llm is for endpoints and steps of a file: give data and stream instead")
        reading = Reading(wants_body=True, max_body_bytes=self._max_body_bytes)
        return build_request(self._labels.index(endpoint.label), endpoint, self._target, reading)

    def _request(self, endpoint: EndpointConfig, step: tuple[int, int] | None = None) -> Request:
        # A body that nobody looks at is not kept: a stream may be as long as its server likes.
        reading = Reading(max_body_bytes=self._max_body_bytes, step=step)
        return build_request(self._labels.index(endpoint.label), endpoint, self._target, reading)

    def _request_builder(
        self, endpoint: EndpointConfig, step: tuple[int, int] | None = None
    ) -> Callable[[Mapping[str, Any]], Request]:
        """Return what makes the request from the values of a pass; one without open parts is made once."""
        if endpoint.llm is not None:
            return self._chat(endpoint, endpoint.llm, step).single
        label = endpoint.label
        self._labels.index(label)

        def build(values: Mapping[str, Any]) -> Request:
            filled = {
                "name": label,
                "path": fill_path(endpoint.path, values, self._base),
                "data": fill(endpoint.data, values),
                "form": fill(endpoint.form, values),
                "multipart": {
                    fill(name, values): [_filled(part, values) for part in parts]
                    for name, parts in endpoint.multipart.items()
                },
                "headers": fill(endpoint.headers, values),
            }
            return self._request(endpoint.model_copy(update=filled), step)

        if _is_open(endpoint):
            return build
        request = build({})  # what is escaped is the text itself from here on
        return lambda _: request


def fresh_seed() -> int:
    """Return a seed that no run had before."""
    return random.SystemRandom().getrandbits(48)


def _check_patterns(scenario: ScenarioConfig) -> None:
    for step in scenario.steps:
        for name, source in step.extract.items():
            kind, _, pattern = source.partition(":")
            if kind == "regex":
                check_pattern(pattern, f"scenario {scenario.name!r}: extract {name!r}")


def _filled(part: PartConfig, values: Mapping[str, Any]) -> PartConfig:
    return part.model_copy(update=fill(part.model_dump(), values))


def _is_open(endpoint: EndpointConfig) -> bool:
    return is_open(parts_of(endpoint))
