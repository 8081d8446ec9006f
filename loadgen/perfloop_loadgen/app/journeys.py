"""The journeys that a configuration describes."""

from __future__ import annotations

from functools import partial
from itertools import count, cycle
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.runner.plan import Plan
from perfloop_loadgen.scenario.feeder import feed, read_rows
from perfloop_loadgen.scenario.journey import Journey, Step, play_steps
from perfloop_loadgen.scenario.llm import prompt_endpoints
from perfloop_loadgen.scenario.mix import spread
from perfloop_loadgen.scenario.request import Request, Target, build_request
from perfloop_loadgen.scenario.template import fill, fill_path, is_open
from perfloop_loadgen.scenario.user import User, load_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_loadgen.config import EndpointConfig, LoadTestConfig, ScenarioConfig
    from perfloop_loadgen.config.scenario import LlmConfig
    from perfloop_loadgen.samples.labels import Labels


def build_plan(config: LoadTestConfig, target: Target, labels: Labels, share: tuple[int, int] = (0, 1)) -> Plan:
    """Return the cycle of endpoints and scenarios with their data; a share of the data for one worker of several."""
    builder = _Builder(target, labels)
    weighted = [(builder.from_endpoint(endpoint), endpoint.weight) for endpoint in config.asked]
    weighted += [(builder.from_scenario(scenario), scenario.weight) for scenario in config.scenarios]
    order = [weighted[index][0] for index in spread([weight for _, weight in weighted])]
    return Plan(order, _values(config, share))


def _values(config: LoadTestConfig, share: tuple[int, int]) -> Iterator[Mapping[str, Any]]:
    index, of = share
    rows: Iterator[Mapping[str, Any]] = feed(read_rows(config.data_file), index, of) if config.data_file else feed([{}])
    return ({"iteration": number, **row} for number, row in zip(count(index, of), rows, strict=False))


class _Builder:
    def __init__(self, target: Target, labels: Labels) -> None:
        self._target = target
        self._labels = labels

    def from_endpoint(self, endpoint: EndpointConfig) -> Journey:
        index = self._labels.index(endpoint.label)
        if endpoint.llm is not None:
            return self._chat(endpoint, endpoint.llm, index)
        if not _is_open(endpoint) and not endpoint.stream:
            return Journey(endpoint.label, index, only=build_request(index, endpoint, self._target))
        step = Step(self._filled(endpoint), {})
        return Journey(endpoint.label, index, play=partial(play_steps, [step]))

    def from_scenario(self, scenario: ScenarioConfig) -> Journey:
        if scenario.python is not None:
            function = load_scenario(scenario.python)
            index = self._labels.index(scenario.name)
            return Journey(scenario.name, index, play=lambda values: function(User(values, self._request)))
        steps = [Step(self._filled(step), step.extract, step.think_time_seconds) for step in scenario.steps]
        return Journey(scenario.name, self._labels.index(scenario.steps[0].label), play=partial(play_steps, steps))

    def _chat(self, endpoint: EndpointConfig, llm: LlmConfig, index: int) -> Journey:
        ready = [build_request(index, prompt, self._target) for prompt in prompt_endpoints(endpoint, llm)]
        prompts = cycle(ready)
        return Journey(
            endpoint.label, index, play=lambda values: play_steps([Step(lambda _: next(prompts), {})], values)
        )

    def _request(self, endpoint: EndpointConfig) -> Request:
        return build_request(self._labels.index(endpoint.label), endpoint, self._target, wants_body=True)

    def _filled(self, endpoint: EndpointConfig) -> Any:
        ready = None if _is_open(endpoint) else self._request(endpoint)
        if ready is not None:
            return lambda _: ready
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


def _is_open(endpoint: EndpointConfig) -> bool:
    return is_open([endpoint.path, endpoint.data, endpoint.headers])
