"""The gates of a configuration: those on what the generator measured, and those on what Prometheus says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.home import local_url
from perfloop_loadgen.config.model import GateConfig
from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.summary.verdict import GateResult
from perfloop_loadgen.thresholds.client_gates import ClientGate, judge
from perfloop_loadgen.thresholds.expression import Expression, parse_expression

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.samples.book import Book


@dataclass(frozen=True, slots=True)
class ServerGate:
    """A PromQL expression and the bound that it must keep."""

    promql: str
    expression: Expression
    text: str


@dataclass(frozen=True, slots=True)
class Gates:
    """Every gate of a run, read before it starts."""

    client: tuple[ClientGate, ...]
    server: tuple[ServerGate, ...]
    prometheus_url: str

    @classmethod
    def of(cls, config: LoadTestConfig) -> Gates:
        """Read the section `thresholds`.

        Raises:
            ConfigError: with every problem of the section.
        """
        problems: list[str] = []
        client: list[ClientGate] = []
        server: list[ServerGate] = []
        for item in config.thresholds:
            gate = GateConfig(expect=item) if isinstance(item, str) else item
            try:
                _read(gate, client, server)
            except ConfigError as error:
                problems += error.problems
        labels = {step.label for step in (*config.requested, *(s for one in config.scenarios for s in one.steps))}
        # A script may request an endpoint that no file lists.
        scripted = any(scenario.python for scenario in config.scenarios)
        unknown = [gate.endpoint for gate in client if gate.endpoint and gate.endpoint not in labels and not scripted]
        problems += [
            f"thresholds: {name!r}: there is no such endpoint, only {', '.join(sorted(labels))}" for name in unknown
        ]
        if problems:
            raise ConfigError(problems)
        return cls(tuple(client), tuple(server), config.prometheus_url or local_url("prometheus"))

    async def judge(self, book: Book, began: float, ended: float) -> tuple[list[GateResult], dict[str, str]]:
        """Return each gate's result, and by a gate's text why Prometheus did not answer it.

        Args:
            book: what was measured.
            began: Unix time of the run's beginning.
            ended: Unix time of its end.
        """
        results = [judge(gate, book, ended - began) for gate in self.client]
        unanswered: dict[str, str] = {}
        for gate in self.server:
            try:
                values = await _query(self.prometheus_url, gate.promql, began, ended)
            except QueryError as error:
                unanswered[gate.text] = str(error)
                values = []
            results.append(_judged(gate, values))
        return results, unanswered


def _read(gate: GateConfig, client: list[ClientGate], server: list[ServerGate]) -> None:
    expression = parse_expression(gate.expect, bare=gate.promql is not None)
    if gate.promql is None:
        client.append(ClientGate(expression, gate.endpoint))
    else:
        server.append(ServerGate(gate.promql, expression, gate.name or f"{gate.promql} {gate.expect}"))


async def _query(url: str, promql: str, began: float, ended: float) -> list[float]:
    from perfloop_loadgen.prometheus_api import PrometheusApi  # brings httpx, and most runs do without

    return await PrometheusApi(url).values(promql, began, ended)


def _judged(gate: ServerGate, values: list[float]) -> GateResult:
    if not values:
        return GateResult(gate.text, None, None)
    worst = gate.expression.comparison.worst(values)
    return GateResult(gate.text, gate.expression.comparison.holds(worst), worst, len(values))
