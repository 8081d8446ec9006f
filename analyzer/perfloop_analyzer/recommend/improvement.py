"""The expected improvement, computed from measured values; where inputs are missing there is none.

Every formula returns the share of one metric that goes away, with two bounds. The optimistic bound is the return to the
level before the finding (its expected value), the cautious one the return to the limit, or half of the optimistic one
where there is no limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from perfloop_analyzer.recommend.gains import share_range
from perfloop_analyzer.recommend.queueing import servers_for_wait, wait_probability
from perfloop_analyzer.recommend.recommendation import Improvement
from perfloop_analyzer.recommend.rightsizing import cpu_request, memory_request, vertical_sizing
from perfloop_analyzer.recommend.rules import Computation
from perfloop_analyzer.recommend.scalability import fit_scalability
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.series import Floats

TARGET_UTILISATION = 0.7
WAIT_GOAL = 0.05  # share of requests that may wait for a server
LEAST_GAIN = 0.005
LEAST_HISTORY = 100  # points
FIRST_CPU_BUCKET = 0.01  # cores, as in the Vertical Pod Autoscaler


class Measured(Protocol):
    """What a formula may read: values of a signal for a service."""

    def now(self, signal: str, service: str) -> float | None:
        """Return the newest value, None when there is none."""

    def peak(self, signal: str, service: str) -> float | None:
        """Return the largest value of the window."""

    def history(self, signal: str, service: str) -> tuple[Floats, Floats] | None:
        """Return the values of the window with their ages in seconds; None when there are none."""

    def pairs(self, one: str, other: str) -> tuple[Floats, Floats] | None:
        """Return the first series of two signals side by side; None when one has none."""


def relief(finding: Finding) -> tuple[float, float] | None:
    """Return the cautious and the optimistic share by which the signal falls; None where it cannot fall.

    For a ratio that should be high, the share by which its complement to 1 falls.
    """
    value, expected, limit = finding.value, finding.expected, finding.limit
    if finding.direction == "below":
        value, expected = 1.0 - value, 1.0 - expected
        limit = None if limit is None else 1.0 - limit
    if value <= 0:
        return None
    full = max(0.0, min(1.0, 1.0 - expected / value))
    to_limit = full / 2 if limit is None else max(0.0, 1.0 - limit / value)
    return min(to_limit, full), max(to_limit, full)


def compute(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """Return what a rule's formula gives for a finding; None where its inputs are missing."""
    return _METHODS[how.method](how, finding, measured)


def _return_to_expected(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    del measured
    bounds = relief(finding)
    if bounds is None or bounds[1] < LEAST_GAIN:
        return None
    now, then = quantity(finding.value, finding.unit), quantity(finding.expected, finding.unit)
    before = "its limit" if finding.has_no_baseline else "was"
    words = f"{finding.title} is {now}, {before} {then}: {_way_back(finding, bounds)}"
    metric = how.metric or finding.signal
    return Improvement(bounds[1], bounds[0], bounds[1], metric, "return_to_expected", words)


def _way_back(finding: Finding, bounds: tuple[float, float]) -> str:
    """Return what the return brings; of a limit only where there is one that is another goal than the level before."""
    less = "closes its gap to 100% by" if finding.direction == "below" else "reduces it by"
    if finding.has_no_baseline:
        return f"returning to the limit {less} {bounds[1]:.0%}"
    to_limit = f"{bounds[0]:.0%}"
    is_other = finding.limit is not None and to_limit not in ("0%", f"{bounds[1]:.0%}")
    return f"returning to that {less} {bounds[1]:.0%}" + (f", to the limit by {to_limit}" if is_other else "")


def _restore(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """Return the share of the service's targets that do not answer: what they would serve is lost until they do."""
    del measured
    share = 1.0 - finding.value
    words = f"{quantity(share, 'ratio')} of the targets of {finding.service} do not answer: all of them do again"
    return Improvement(share, share, share, how.metric or "unanswered_requests", "restore", words)


def _latency_share(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """Amdahl's law (1967) for one request: the component's share of the latency times the reduction of its own time."""
    share = _share(how, finding.service, measured)
    bounds = relief(finding)
    if share is None or bounds is None:
        return _return_to_expected(Computation(method="return_to_expected"), finding, measured)
    words = (
        f"{finding.component} takes {share:.0%} of the mean response time of {finding.service}; its own time falls "
        f"by {share_range(*bounds)}, so the response time falls by {share * bounds[1]:.0%} at best"
    )
    metric = how.metric or "api_latency_mean"
    return Improvement(share * bounds[1], share * bounds[0], share * bounds[1], metric, "latency_share", words)


def _share(how: Computation, service: str, measured: Measured) -> float | None:
    busy = measured.now(how.time or "", service)
    rate, mean = measured.now("request_rate", service), measured.now("api_latency_mean", service)
    if busy is None or not rate or not mean:
        return None
    return min(1.0, busy / (rate * mean))


def _cache_share(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """Misses cause the work behind the cache: with misses m falling to m0, that work falls by 1 - m0 / m."""
    bounds = relief(finding)
    if bounds is None:
        return None
    before, now = 1.0 - finding.expected, 1.0 - finding.value
    rate = measured.now(how.rate or "", finding.service)
    saved = "" if rate is None else f", which saves {rate * max(0.0, now - before):.3g} loads per second"
    words = f"misses fall from {now:.0%} to {before:.0%} of the lookups{saved}"
    metric = how.metric or "db_time_per_second"
    return Improvement(bounds[1], bounds[0], bounds[1], metric, "cache_share", words)


def _pool_size(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """Erlang C for the pool: the offered load is the connections in use; wanted is the size at which 5% wait."""
    used = measured.now("db_pool_connections", finding.service)
    if not used or finding.value <= 0:
        return _return_to_expected(how, finding, measured)
    size = max(1, round(used / finding.value))
    load = min(measured.now(how.time or "", finding.service) or used, used)
    wanted = max(servers_for_wait(load, WAIT_GOAL), 1)
    waits = wait_probability(load, size)
    if wanted <= size:
        words = (
            f"queries need {load:.2f} connections, {used:.0f} of {size} are held: {wanted} are enough once connections "
            f"are released, use falls from {finding.value:.0%} to {load / size:.0%}"
        )
        ratio = max(0.0, 1.0 - load / used)
    else:
        words = f"{load:.2f} busy connections make {waits:.0%} of callers wait at {size}; {wanted} make it 5% at most"
        ratio = 1.0 - wait_probability(load, wanted) / waits if waits > 0 else 0.0
    return Improvement(ratio, ratio / 2, ratio, how.metric or finding.signal, "pool_size", words)


def _replicas(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """The largest of three numbers of cores: by Erlang C for rare waiting, by 70% use, and by past use."""
    cores = measured.now("cpu_cores", finding.service)
    if not cores or finding.value <= 0:
        return _return_to_expected(how, finding, measured)
    load = finding.value * cores
    sized, reason = _cpu_size(finding, cores, measured)
    wanted = max(servers_for_wait(load, WAIT_GOAL), -int(-load // TARGET_UTILISATION), math.ceil(sized))
    now_waits, then_waits = wait_probability(load, int(cores)), wait_probability(load, wanted)
    use = load / wanted
    words = (
        f"{load:.2f} of {cores:.0f} cores are busy and {now_waits:.0%} of the work waits; {wanted} cores bring use to "
        f"{use:.0%} and waiting to {then_waits:.0%}{reason}"
    )
    ratio = max(0.0, 1.0 - use / finding.value)
    return Improvement(ratio, ratio / 2, ratio, how.metric or finding.signal, "replicas", words)


def _cpu_size(finding: Finding, cores: float, measured: Measured) -> tuple[float, str]:
    """Return the larger of KRR's CPU request and the VPA's target in cores, and a sentence; (0, "") without history."""
    past = measured.history(finding.signal, finding.service)
    if past is None or len(past[0]) < LEAST_HISTORY:
        return 0.0, ""
    use, ages = past[0] * cores, past[1]
    request, sizing = cpu_request(use), vertical_sizing(use, ages, FIRST_CPU_BUCKET)
    words = (
        f"; past use: {request:.2f} cores at the 95th percentile, {sizing.target:.2f} by the Vertical Pod Autoscaler"
    )
    return max(request, sizing.target), words


def _right_size(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """KRR's memory rule: the peak of the window plus 15%."""
    total = measured.now("memory_total_bytes", finding.service)
    peak = measured.peak(finding.signal, finding.service)
    if not total or peak is None:
        return _return_to_expected(how, finding, measured)
    wanted = memory_request(peak * total)
    use = finding.value * total / max(wanted, total)
    words = f"peak use is {peak * total / 2**30:.2f} GiB of {total / 2**30:.2f}; peak + 15% is {wanted / 2**30:.2f} GiB"
    ratio = max(0.0, 1.0 - use / finding.value)
    if not ratio:
        return _return_to_expected(how, finding, measured)
    return Improvement(ratio, 0.0, ratio, how.metric or finding.signal, "right_size", words)


def _scalability(how: Computation, finding: Finding, measured: Measured) -> Improvement | None:
    """The Universal Scalability Law of the running load test: beyond its peak, fewer concurrent users are faster."""
    pairs = measured.pairs("load_users", "load_throughput")
    law = None if pairs is None else fit_scalability(*pairs)
    users = measured.now("load_users", "loadgen")
    if law is None or users is None or users <= law.peak:
        return _return_to_expected(how, finding, measured)
    now, best = users / law.throughput(users), law.peak / law.throughput(law.peak)
    ratio = max(0.0, 1.0 - best / now)
    words = (
        f"throughput peaks at {law.peak:.0f} concurrent users with {law.throughput(law.peak):.1f} requests per second; "
        f"{users:.0f} get {law.throughput(users):.1f}: admitting no more than that shortens responses by {ratio:.0%}"
    )
    return Improvement(ratio, ratio / 2, ratio, how.metric or finding.signal, "scalability", words)


_METHODS: Mapping[str, Callable[[Computation, Finding, Measured], Improvement | None]] = {
    "return_to_expected": _return_to_expected,
    "latency_share": _latency_share,
    "cache_share": _cache_share,
    "pool_size": _pool_size,
    "replicas": _replicas,
    "right_size": _right_size,
    "scalability": _scalability,
    "restore": _restore,
}
