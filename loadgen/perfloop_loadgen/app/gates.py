"""The gates of a configuration: those on what the generator measured, and those on what Prometheus says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_base.home import local_url
from perfloop_loadgen.app.hold import default_thresholds
from perfloop_loadgen.config.model import GateConfig
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.summary.verdict import GateResult
from perfloop_loadgen.thresholds.client_gates import ClientGate, judge
from perfloop_loadgen.thresholds.expression import Expression, parse_expression

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.samples.book import Book

# SIGTERM must end the process within 5 s, 4 of which are for answers and the last scrape.
_HURRY_SECONDS = 0.5


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
    # Of a test that sets no thresholds: what it is held to, in a sentence.
    held: str = ""

    @classmethod
    def of(cls, config: LoadTestConfig) -> Gates:
        """Read the section `thresholds`; where there is none, take the limits of thresholds.yml.

        Raises:
            ConfigError: with every problem of the section.
        """
        problems: list[str] = []
        client: list[ClientGate] = []
        server: list[ServerGate] = []
        wanted, held = (config.thresholds, "") if config.thresholds else default_thresholds(config)
        for item in wanted:
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
        return cls(tuple(client), tuple(server), config.prometheus_url or local_url("prometheus"), held)

    @property
    def aborting(self) -> bool:
        """Return whether a gate may end the run."""
        return any(gate.abort_after_seconds is not None for gate in self.client)

    def crossed(self, book: Book, elapsed_seconds: float) -> str:
        """Return the sentence about a gate that ends the run by now, judged as at its end; nothing if there is none."""
        for gate in self.client:
            if gate.abort_after_seconds is not None and elapsed_seconds >= gate.abort_after_seconds:
                result = judge(gate, book, elapsed_seconds)
                if result.passed is False:
                    return f"aborted after {elapsed_seconds:.0f} s: the gate {gate.text!r} measured {result.measured}"
        return ""

    async def judge(
        self, book: Book, span: tuple[float, float], hurry: asyncio.Event | None = None
    ) -> tuple[list[GateResult], dict[str, str]]:
        """Return each gate's result, and by a gate's text why Prometheus did not answer it.

        Args:
            book: what was measured.
            span: Unix times of the run's beginning and end.
            hurry: set when somebody waits for the end; a Prometheus that is slow is then not waited for.
        """
        results = [judge(gate, book, span[1] - span[0]) for gate in self.client]
        if self.held:
            # Nobody asked for these: an endpoint that has no times is no reason to have no result.
            results = [result for result in results if result.passed is not None]
        unanswered: dict[str, str] = {}
        queries = [_query(self.prometheus_url, gate.promql, *span) for gate in self.server]
        for gate, answer in zip(self.server, await _all(queries, hurry or asyncio.Event()), strict=True):
            if isinstance(answer, QueryError):
                unanswered[gate.text] = str(answer)
            results.append(_judged(gate, [] if isinstance(answer, QueryError) else answer))
        return results, unanswered


async def _all(
    queries: Sequence[Coroutine[Any, Any, list[float]]], hurry: asyncio.Event
) -> list[list[float] | QueryError]:
    """Ask everything at once: one silent Prometheus costs its time limit once, however many gates there are."""
    tasks = [asyncio.create_task(query) for query in queries]
    asked_to_hurry = asyncio.create_task(hurry.wait())
    pending = set(tasks)
    while pending and not hurry.is_set():
        await asyncio.wait([*pending, asked_to_hurry], return_when=asyncio.FIRST_COMPLETED)
        pending = {task for task in pending if not task.done()}
    if pending:
        await asyncio.wait(pending, timeout=_HURRY_SECONDS)
    for task in (*tasks, asked_to_hurry):
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(asked_to_hurry, return_exceptions=True)
    return [_outcome(one) for one in found]


def _outcome(found: list[float] | BaseException) -> list[float] | QueryError:
    if isinstance(found, asyncio.CancelledError):
        return QueryError("stopped before Prometheus answered")
    if isinstance(found, BaseException) and not isinstance(found, QueryError):
        raise found
    return found


def _read(gate: GateConfig, client: list[ClientGate], server: list[ServerGate]) -> None:
    expression = parse_expression(gate.expect, bare=gate.promql is not None)
    if gate.promql is None:
        # Compared with the names of rows, which are fit to be shown.
        endpoint = None if gate.endpoint is None else shown(gate.endpoint)
        client.append(ClientGate(expression, endpoint, _abort_after(gate, expression)))
    else:
        server.append(ServerGate(gate.promql, expression, shown(gate.name or f"{gate.promql} {gate.expect}")))


def _abort_after(gate: GateConfig, expression: Expression) -> float | None:
    if not gate.abort:
        return None
    if expression.metric == "requests" and expression.comparison.sign.startswith(">"):
        raise ConfigError(f"thresholds: {gate.expect!r}: abort: every run begins below it, since requests only grow")
    return gate.abort_after_seconds


async def _query(url: str, promql: str, began: float, ended: float) -> list[float]:
    from perfloop_loadgen.prometheus_api import PrometheusApi  # brings httpx, and most runs do without

    return await PrometheusApi(url).values(promql, began, ended)


def _judged(gate: ServerGate, values: list[float]) -> GateResult:
    if not values:
        return GateResult(gate.text, None, None)
    worst = gate.expression.comparison.worst(values)
    return GateResult(gate.text, gate.expression.comparison.holds(worst), worst, len(values))
