"""Judge a run by its configuration's gates, client side and server side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_loadgen.config.gates import GateConfig
from perfloop_loadgen.errors import ConfigError, QueryError
from perfloop_loadgen.summary.verdict import GateResult
from perfloop_loadgen.thresholds.client_gates import ClientGate, judge
from perfloop_loadgen.thresholds.expression import Expression, parse_expression

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.samples.book import Book


@dataclass(frozen=True, slots=True)
class ServerGate:
    """An expression of Prometheus and what it must keep."""

    promql: str
    expression: Expression
    text: str


@dataclass(frozen=True, slots=True)
class Gates:
    """Every gate of a run, read before it starts."""

    client: tuple[ClientGate, ...]
    server: tuple[ServerGate, ...]
    prometheus_url: str | None

    @classmethod
    def of(cls, config: LoadTestConfig) -> Gates:
        """Read the section `thresholds`; every problem is told at once."""
        problems: list[str] = []
        client: list[ClientGate] = []
        server: list[ServerGate] = []
        for item in config.thresholds:
            gate = GateConfig(expect=item) if isinstance(item, str) else item
            try:
                _read(gate, client, server)
            except ConfigError as error:
                problems += error.problems
        if server and config.prometheus_url is None:
            problems.append("prometheus_url: is missing, and thresholds hold a promql gate")
        labels = {step.label for step in (*config.asked, *(s for one in config.scenarios for s in one.steps))}
        scripted = any(scenario.python for scenario in config.scenarios)
        unknown = [gate.endpoint for gate in client if gate.endpoint and gate.endpoint not in labels and not scripted]
        problems += [
            f"thresholds: {name!r}: there is no such endpoint, only {', '.join(sorted(labels))}" for name in unknown
        ]
        if problems:
            raise ConfigError(problems)
        return cls(tuple(client), tuple(server), config.prometheus_url)

    async def judge(self, book: Book, began: float, ended: float) -> tuple[list[GateResult], list[str]]:
        """Return each gate's result, and the questions that could not be asked."""
        results = [judge(gate, book, ended - began) for gate in self.client]
        troubles: list[str] = []
        for gate in self.server:
            try:
                values = await _ask(self.prometheus_url or "", gate.promql, began, ended)
            except QueryError as error:
                troubles.append(str(error))
                values = []
            results.append(_judged(gate, values))
        return results, troubles


def _read(gate: GateConfig, client: list[ClientGate], server: list[ServerGate]) -> None:
    expression = parse_expression(gate.expect, bare=gate.promql is not None)
    if gate.promql is None:
        client.append(ClientGate(expression, gate.endpoint))
    else:
        server.append(ServerGate(gate.promql, expression, gate.name or f"{gate.promql} {gate.expect}"))


async def _ask(url: str, promql: str, began: float, ended: float) -> list[float]:
    from perfloop_loadgen.prometheus_api import PrometheusApi  # brings httpx, and most runs do without

    return await PrometheusApi(url).values(promql, began, ended)


def _judged(gate: ServerGate, values: list[float]) -> GateResult:
    if not values:
        return GateResult(gate.text, None, None)
    worst = gate.expression.comparison.worst(values)
    return GateResult(gate.text, gate.expression.comparison.holds(worst), worst, len(values))
