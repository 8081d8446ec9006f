"""One proof from the recommendation to the bundle."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from perfloop.prove.blocks import Timing, measure_signals, order_of, run_block
from perfloop.prove.bundle import write_bundle
from perfloop.prove.errors import ProofError
from perfloop.prove.plan import describe_source, fetch_requests, make_plan, read_requests
from perfloop.prove.proof import Proof, conclude, metric_of
from perfloop.prove.sides import WITH, WITHOUT, Sides
from perfloop.prove.traffic import Prometheus, Traffic, read_traffic
from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import SourceConfig, TargetConfig
from perfloop_analyzer.errors import NotFoundError
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.running import open_records
from perfloop_base.errors import ConfigError, PerfloopError
from perfloop_base.home import find_home, running_url
from perfloop_base.quantities import span
from perfloop_base.terminal import show
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfloop.prove.blocks import Block
    from perfloop.prove.config import ProofConfig
    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.recommend import Recommendation

LONGEST_INCIDENT, SHORTEST_INCIDENT = 900.0, 60.0  # the last quarter of an hour of it is replayed
SWITCH_SECONDS = 10.0  # before and after a proof's load: the commands that make and take back its change
SCRAPE_SECONDS = 6.0  # after the last block, until Prometheus has its samples


@dataclass(frozen=True, slots=True)
class Outcome:
    """A proof, where its bundle is, and why the analyzer could not keep it; empty where it did."""

    proof: Proof
    page: Path
    document: Path
    unrecorded: str


def prove(identifier: str, config: ProofConfig, target: TargetConfig) -> Outcome:
    """Prove one recommendation.

    Raises:
        ConfigError: The settings do not fit together, or a file is wrong.
        PerfloopError: There is no such recommendation, no load of its incident, or a side cannot be reached.
    """
    config.check()
    with open_records(target) as records:
        known = records.recommendations()
    recommendation = next((one for one in known if one.id == identifier), None)
    if recommendation is None:
        raise NotFoundError(f"no recommendation has the id '{visible(identifier[:160])}'")
    prometheus_url = config.prometheus_url or running_url("prometheus")
    catalog = load_catalog()
    if not metric_of(recommendation, {one.name: one for one in catalog}):
        raise ProofError(
            f"recommendation {recommendation.id} is about no signal of the catalogue: nothing can be compared"
        )
    with httpx.Client(timeout=30.0) as client:
        tried = [span for one in known if one.service == recommendation.service for span in one.proof_spans]
        start, end = find_window(recommendation, config, tried, time.time())
        traffic = read_traffic(Prometheus(prometheus_url), recommendation.service, start, end, config.skip)
        blocks = _replay(config, traffic, client)
    time.sleep(SCRAPE_SECONDS)
    values = asyncio.run(_measure(prometheus_url, catalog, traffic.service, blocks))
    proof = conclude(
        recommendation,
        catalog,
        traffic,
        blocks,
        values,
        made_at=time.time(),
        source=describe_source(config.requests, config.url or config.before),
        scale=config.scale,
    )
    own = next((found for key, found in values.items() if key == proof.own), [math.nan] * len(blocks))
    page, document = write_bundle(proof, own, config.out or find_home().absolute() / "proofs")
    return Outcome(proof, page, document, _record(proof, target))


def find_window(
    recommendation: Recommendation, config: ProofConfig, tried: Iterable[tuple[float, float]], now: float
) -> tuple[float, float]:
    """Return the stretch of the incident whose load is replayed: the end of it, or what the flags say.

    Args:
        recommendation: Whose incident it is.
        config: The flags.
        tried: Start and end of each earlier proof on the service, in Unix seconds: its load was not the users'.
        now: The present, in Unix seconds.

    Raises:
        ConfigError: The flags name no past.
    """
    stood_until = recommendation.values.get("stood_until")
    end = config.end or (float(stood_until) if isinstance(stood_until, int | float) else now)
    since = min(recommendation.created or end, end - SHORTEST_INCIDENT)
    if config.start is None and config.end is None:
        since, end = _newest_undisturbed(since, end, tried)
    start = config.start or max(since, end - LONGEST_INCIDENT)
    if not start < end <= now + 1.0:
        raise ConfigError(
            f"--from and --to: {end - start:.0f} s until {end - now:+.0f} s from now are no past to replay"
        )
    return start, end


def _newest_undisturbed(since: float, end: float, tried: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the newest stretch that is long enough and that no proof reached into, else the whole."""
    free, at = [], since
    for began, ended in sorted(tried):
        free.append((at, min(began - SWITCH_SECONDS, end)))
        at = max(at, ended + SWITCH_SECONDS)
    free.append((at, end))
    return next((one for one in reversed(free) if one[1] - one[0] >= SHORTEST_INCIDENT), (since, end))


def _replay(config: ProofConfig, traffic: Traffic, client: httpx.Client) -> list[Block]:
    """Send the load to both sides in turn and return what the client saw; the change is taken back at the end."""
    sides = _sides(config)
    known = read_requests(config.requests) if config.requests else fetch_requests(sides.urls[WITHOUT], client)
    plan = make_plan(traffic, known, config.scale)
    timing = Timing(config.pairs, config.block, config.settle)
    show(
        f"replaying {traffic.rate * config.scale:.3g} requests per second over {len(traffic.routes)} routes of "
        f"{traffic.service}: {2 * config.pairs} blocks, {span(timing.total)}"
    )
    blocks: list[Block] = []
    with sides:
        for pair, side in order_of(config.pairs, config.seed):
            block = asyncio.run(run_block(plan, sides.switch(side), pair, side, timing))
            show(f"pair {pair + 1} of {config.pairs}, {side} the change: {sum(block.requests.values())} requests")
            blocks.append(block)
    return blocks


def _sides(config: ProofConfig) -> Sides:
    if config.url:
        url = config.url.rstrip("/")
        return Sides({WITHOUT: url, WITH: url}, {WITHOUT: config.revert, WITH: config.apply})
    return Sides({WITHOUT: config.before.rstrip("/"), WITH: config.after.rstrip("/")})


async def _measure(
    url: str, catalog: Sequence[Signal], service: str, blocks: Sequence[Block]
) -> dict[tuple[str, str], list[float]]:
    async with PrometheusSource(SourceConfig(url=url)) as source:
        return await measure_signals(source, catalog, service, blocks)


def _record(proof: Proof, target: TargetConfig) -> str:
    """Let the analyzer keep the outcome; return why it could not, or nothing."""
    try:
        with open_records(target) as records:
            records.record_proof(proof.recommendation.id, proof.as_record(), time.time())
    except PerfloopError as error:
        return str(error)
    return ""
