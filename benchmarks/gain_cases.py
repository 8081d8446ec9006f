"""Random systems in trouble, what Prometheus has of them, and the gain that the recommended change really brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from gain_systems import (
    POINTS,
    STEP,
    Callers,
    Floats,
    Scrapes,
    Served,
    busy_time,
    draw_times,
    histogram_quantile,
    jobs_of_law,
    poisson,
    run_law,
    serve,
    share_cores,
    share_cores_with_callers,
)

from perfloop_analyzer.recommend.estimates import Estimate
from perfloop_analyzer.series import Grid
from perfloop_base.buckets import DEFAULT

WARM_UP = 300.0
LONG = 1800.0  # seconds of a run that gives the truth
END = WARM_UP + 1800.0
WINDOW = STEP * (POINTS - 1)
MANY = 200_000  # requests that give a mean
BOUNDS = np.array(DEFAULT)
Truth = Callable[[Estimate], float | None]


@dataclass(frozen=True, slots=True)
class Case:
    """One system in trouble.

    Attributes:
        signal: The signal of the finding.
        series: The values of each signal over the window, shape (POINTS,).
        before: The level of the finding's signal before, which an analyzer that has run for longer remembers.
        onset: When the trouble began, in seconds; it may be before the window.
        truth: Gives the share by which the estimate's metric falls when its change is made; None if that is undefined.
        days: A week of the finding's signal every ten minutes; empty without history.
    """

    signal: str
    series: Mapping[str, Floats]
    before: float
    onset: float
    truth: Truth
    days: Floats = field(default_factory=lambda: np.empty(0))


def grid() -> Grid:
    """Return the window's grid."""
    return Grid(END - WINDOW, STEP, POINTS)


def begin(rng: np.random.Generator) -> float:
    """Return when a trouble began: three minutes to 25 before the end, so that some are older than the window."""
    return float(END - rng.uniform(180.0, 1500.0))


def level(scrapes: Scrapes, values: Floats, onset: float) -> float:
    """Return the median of a signal before an onset; NaN where the window does not show it."""
    earlier = values[scrapes.times() < onset]
    return float(np.nanmedian(earlier)) if len(earlier) else float("nan")


def slow_queries(rng: np.random.Generator) -> Case:
    """Queries of a request become slower, or more; one after the other, or several at the same time."""
    rate, onset, scrapes = float(rng.uniform(2, 40)), begin(rng), Scrapes(END)
    count, abreast = int(rng.integers(1, 13)), int(rng.choice([1, 1, 1, 2, 4]))
    app, query = draw_times(rng, rng.uniform(0.01, 0.2)), draw_times(rng, rng.uniform(0.002, 0.05))
    factor, more = (1.0, int(rng.integers(2, 8))) if rng.random() < 0.25 else (float(rng.uniform(2, 12)), 1)
    app_factor = float(rng.uniform(1.2, 2.5)) if rng.random() < 0.25 else 1.0  # a second trouble, that stays

    def requests(amount: int, *, slow: bool, app_slow: bool) -> tuple[Floats, Floats]:
        each = count * (more if slow else 1)
        times = query(amount * each).reshape(amount, each) * (factor if slow else 1.0)
        spare = -each % abreast
        groups = np.pad(times, ((0, 0), (0, spare))).reshape(amount, -1, abreast)
        waits = groups.max(axis=2).sum(axis=1)
        return app(amount) * (app_factor if app_slow else 1.0) + waits, times

    came = poisson(rng, rate, 0.0, END)
    ends, latencies, query_ends, query_times = [], [], [], []
    for chosen, slow in ((came[came < onset], False), (came[came >= onset], True)):
        latency, times = requests(len(chosen), slow=slow, app_slow=slow)
        ends.append(chosen + latency)
        latencies.append(latency)
        query_ends.append(np.repeat(chosen + latency, times.shape[1]))
        query_times.append(times.ravel())
    done, took, queried, asked = (np.concatenate(one) for one in (ends, latencies, query_ends, query_times))
    per_second = scrapes.rate(done)
    series = {
        "api_latency_mean": scrapes.rate(done, took) / per_second,
        "request_rate": per_second,
        "db_time_per_second": scrapes.rate(queried, asked),
        "db_query_rate": scrapes.rate(queried),
        "db_query_time_p95": scrapes.quantile(queried, asked, 0.95, BOUNDS),
    }
    if factor == 1.0:  # more queries are not slower: the finding is about the time that requests spend in the database
        series["db_query_time_p95"] = series["db_time_per_second"] / per_second
    now, fixed = (requests(MANY // 4, slow=slow, app_slow=True)[0].mean() for slow in (True, False))
    calm = histogram_quantile(
        0.95, np.bincount(np.searchsorted(BOUNDS, query(MANY)), minlength=len(BOUNDS) + 1), BOUNDS
    )
    before = calm if factor != 1.0 else float(count * query(MANY).mean())
    return Case("db_query_time_p95", series, before, onset, lambda _: float(1 - fixed / now))


def slow_model(rng: np.random.Generator) -> Case:
    """Inference becomes slower; the 95th percentile is read from a histogram."""
    rate, onset, scrapes = float(rng.uniform(1, 20)), begin(rng), Scrapes(END)
    times, factor = draw_times(rng, rng.uniform(0.2, 2.0)), float(rng.uniform(1.5, 8))
    came = poisson(rng, rate, 0.0, END)
    took = times(len(came)) * np.where(came < onset, 1.0, factor)
    values = scrapes.quantile(came, took, 0.95, BOUNDS)
    # The level of windows like the analyzer's, not of one endless one: quantiles of few values are biased alike.
    calm = [np.nanmean(scrapes.quantile(came, times(len(came)) * one, 0.95, BOUNDS)) for one in (1.0, factor)]
    return Case(
        "model_inference_time_p95",
        {"model_inference_time_p95": values},
        float(calm[0]),
        onset,
        lambda _: float(1 - calm[0] / calm[1]),
    )


def failing_requests(rng: np.random.Generator) -> Case:
    """Requests fail more often, and failed ones are retried: each try counts."""
    rate, onset, scrapes = float(rng.uniform(2, 50)), begin(rng), Scrapes(END)
    before, now, tries = float(rng.uniform(0.0, 0.03)), float(rng.uniform(0.06, 0.6)), int(rng.integers(1, 5))
    came = poisson(rng, rate, 0.0, END)
    at, failed = [], []
    left = came
    for attempt in range(tries):
        share = np.where(left < onset, before, now)
        fails = rng.random(len(left)) < share
        at.append(left)
        failed.append(fails)
        left = left[fails] + rng.exponential(0.2 * 2**attempt, int(fails.sum()))
    moments, bad = np.concatenate(at), np.concatenate(failed)
    series = {"error_ratio": scrapes.rate(moments, bad.astype(float)) / scrapes.rate(moments)}
    return Case("error_ratio", series, before, onset, lambda _: 1 - before / now)


def cold_cache(rng: np.random.Generator) -> Case:
    """The hit ratio falls; misses cause queries, others do too, and at times the queries are slower as well."""
    rate, onset, scrapes = float(rng.uniform(5, 60)), begin(rng), Scrapes(END)
    lookups, batch, others = (
        int(rng.integers(1, 5)),
        int(rng.integers(1, 4)),
        float(rng.choice([0.0, rng.uniform(0, 4)])),
    )
    hit, then = float(rng.uniform(0.75, 0.99)), float(rng.uniform(0.0, 0.6))
    query, other = draw_times(rng, rng.uniform(0.002, 0.03)), draw_times(rng, rng.uniform(0.002, 0.03))
    slower = float(rng.uniform(1.2, 3.0)) if rng.random() < 0.25 else 1.0
    looked = np.repeat(poisson(rng, rate, 0.0, END), lookups)
    hits = rng.random(len(looked)) < np.where(looked < onset, hit, then)
    asked = np.repeat(looked[~hits], batch)
    plain = poisson(rng, rate * others, 0.0, END)
    at = np.concatenate([asked, plain])
    took = np.concatenate([query(len(asked)), other(len(plain))]) * np.where(at < onset, 1.0, slower)
    series = {
        "cache_hit_ratio": scrapes.rate(looked[hits]) / scrapes.rate(looked),
        "cache_request_rate": scrapes.rate(looked),
        "db_time_per_second": scrapes.rate(at, took),
        "db_query_rate": scrapes.rate(at),
    }
    each, rest = lookups * batch * query(MANY).mean(), others * other(MANY).mean()
    gain = 1 - ((1 - hit) * each + rest) / ((1 - then) * each + rest)
    return Case("cache_hit_ratio", series, hit, onset, lambda _: float(gain))


def _pool(
    rng: np.random.Generator, served: Served, size: int, busy: tuple[Floats, Floats] | None = None
) -> dict[str, Floats]:
    scrapes = Scrapes(END)
    used = served.busy(scrapes.times()).astype(float)
    series = {"db_pool_used_ratio": used / size, "db_pool_connections": used}
    if rng.random() < 0.7:
        series["db_pool_waiting"] = scrapes.rate(served.begun, served.begun - served.came)
    at, amounts = busy if busy is not None else (served.ended, served.ended - served.begun)
    series["db_time_per_second"] = scrapes.rate(at, amounts)
    return series


def small_pool(rng: np.random.Generator) -> Case:
    """Demand grows until the pool is nearly or wholly used; callers are endless in number, or wait for answers."""
    size, onset = int(rng.integers(2, 31)), begin(rng)
    hold, calm = size / float(rng.uniform(20, 100)), float(rng.uniform(0.15, 0.5))
    times = draw_times(rng, hold)
    if rng.random() < 0.7:
        high = float(rng.choice([rng.uniform(0.8, 0.97), rng.uniform(1.0, 1.4)], p=[0.7, 0.3]))

        def run(sizes: Sequence[int], end: float, change: float) -> list[Served]:
            came = np.concatenate(
                [poisson(rng, calm * size / hold, 0.0, change), poisson(rng, high * size / hold, change, end)]
            )
            took = times(len(came))
            return [serve(came, took, servers) for servers in sizes]

    else:
        count = int(size * rng.uniform(1.1, 4.0)) + 1
        eager = float(rng.uniform(0.85, 1.5)) * size / count
        pauses = (hold * (count / (calm * size) - 1), hold * max(1 / min(eager, 0.95) - 1, 0.05))

        def run(sizes: Sequence[int], end: float, change: float) -> list[Served]:
            callers = Callers(count, ((0.0, pauses[0]), (change, pauses[1])))
            return [callers.call(rng, times, servers, end) for servers in sizes]

    series = _pool(rng, run([size], END, onset)[0], size)

    def truth(estimate: Estimate) -> float | None:
        if estimate.size is None:
            return None
        moments = np.arange(WARM_UP, LONG, 1.7)
        sizes = (size, int(estimate.size))
        use = [one.busy(moments).mean() / n for one, n in zip(run(sizes, LONG, 0.0), sizes, strict=True)]
        return float(1 - use[1] / use[0])

    return Case("db_pool_used_ratio", series, calm, onset, truth)


def held_connections(rng: np.random.Generator) -> Case:
    """Connections are held for longer than their queries take: idle in a transaction."""
    size, onset = int(rng.integers(4, 31)), begin(rng)
    query, calm, idle = float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.0, 0.5))
    rate, longer = calm * size / (query * (1 + idle)), float(rng.uniform(2.5, 5.0))
    times, rest = draw_times(rng, query), draw_times(rng, query)

    def run(end: float, change: float, factor: float) -> tuple[Served, Floats]:
        came = poisson(rng, rate, 0.0, end)
        asked = times(len(came))
        held = asked + rest(len(came)) * np.where(came < change, idle, (1 + idle) * factor - 1)
        return serve(came, held, size), asked

    served, asked = run(END, onset, longer)
    series = _pool(rng, served, size, (served.begun + asked, asked))
    full = min(calm * longer, 1.0)
    return Case("db_pool_used_ratio", series, calm, onset, lambda _: float(1 - calm / full))


def busy_cores(rng: np.random.Generator) -> Case:
    """Work grows on shared cores; callers are endless in number, or wait for their answers."""
    cores, onset, scrapes = int(rng.choice([1, 2, 4, 8, 16])), begin(rng), Scrapes(END)
    mean = cores / float(rng.uniform(20, 100))
    times, calm = draw_times(rng, mean), float(rng.uniform(0.1, 0.5))
    if rng.random() < 0.7:
        high = float(rng.choice([rng.uniform(0.72, 0.94), rng.uniform(0.96, 1.3)], p=[0.8, 0.2]))

        def run(sizes: Sequence[int], end: float, change: float) -> list[tuple[Floats, Floats]]:
            came = np.concatenate(
                [poisson(rng, calm * cores / mean, 0.0, change), poisson(rng, high * cores / mean, change, end)]
            )
            took = times(len(came))
            return [share_cores(came, took, count) for count in sizes]

    else:
        callers = int(cores * rng.uniform(1.2, 6.0)) + 1
        eager = float(rng.uniform(0.75, 1.2)) * cores / callers
        pauses = (mean * (callers / (calm * cores) - 1), mean * max(1 / min(eager, 0.95) - 1, 0.05))

        def run(sizes: Sequence[int], end: float, change: float) -> list[tuple[Floats, Floats]]:
            people = Callers(callers, ((0.0, pauses[0]), (change, pauses[1])))
            return [share_cores_with_callers(rng, people, times, count, end) for count in sizes]

    now = run([cores], END, onset)[0]
    at = scrapes.times()
    used = (busy_time(*now, at) - busy_time(*now, at - 4 * STEP)) / (4 * STEP) / cores
    days = np.empty(0)
    if rng.random() < 0.5:
        clock = np.arange(1008) / 144
        days = calm * (1 + 0.4 * np.sin(2 * np.pi * clock)) * rng.lognormal(0, 0.1, 1008)

    def truth(estimate: Estimate) -> float | None:
        if estimate.size is None:
            return None
        sizes, ends = (cores, int(estimate.size)), np.array([WARM_UP / 2, LONG])
        work = [np.diff(busy_time(*one, ends))[0] / n for one, n in zip(run(sizes, LONG, 0.0), sizes, strict=True)]
        return float(1 - work[1] / work[0])

    return Case(
        "cpu_used_ratio", {"cpu_used_ratio": used, "cpu_cores": np.full(POINTS, float(cores))}, calm, onset, truth, days
    )


def full_memory(rng: np.random.Generator) -> Case:
    """Memory in use has days, and a step up; the machine is given the memory that the sizing says."""
    onset, total = begin(rng), float(rng.choice([4, 8, 16, 64])) * 2**30
    calm, high, swing = float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.82, 0.93)), float(rng.uniform(0.0, 0.1))
    at = Scrapes(END).times()

    def use(moments: Floats, base: float) -> Floats:
        noise = np.zeros(len(moments))
        steps = rng.normal(0, 0.004, len(moments))
        for place in range(1, len(moments)):
            noise[place] = 0.9 * noise[place - 1] + steps[place]
        return np.clip(base * (1 + swing * np.sin(2 * np.pi * moments / 86_400)) + noise, 0, 1)

    used = np.where(at < onset, use(at, calm), use(at, high))
    days = use(np.arange(1008) * 600.0, calm) if rng.random() < 0.7 else np.empty(0)

    def truth(estimate: Estimate) -> float:
        return 1 - (calm / high if estimate.size is None else total / estimate.size)

    return Case(
        "memory_used_ratio",
        {"memory_used_ratio": used, "memory_total_bytes": np.full(POINTS, total)},
        calm,
        onset,
        truth,
        days,
    )


def overloaded_test(rng: np.random.Generator) -> Case:
    """A load test goes through levels of users: beyond the peak, onto a plateau, or never near its end."""
    shape, scrapes = str(rng.choice(["peak", "peak", "peak", "plateau", "line"])), Scrapes(END)
    service, pause = float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.05, 1.0))
    contention = float(rng.uniform(0.02, 0.2))
    peak = float(rng.uniform(10, 60))
    coherence = {"peak": (1 - contention) / peak**2, "plateau": 0.0, "line": 0.0}[shape]
    contention = {"peak": contention, "plateau": contention, "line": 0.0}[shape]

    def pace(jobs: Floats) -> Floats:
        return jobs / (1 + contention * (jobs - 1) + coherence * jobs * (jobs - 1)) / service

    round_trip = 1 + pause / service  # about as many users keep as many jobs busy before they get in each other's way
    top = {"peak": peak * rng.uniform(1.5, 3.0) * min(round_trip, 3), "plateau": 300.0, "line": 60.0}[shape]
    low = top * 0.6 if shape == "plateau" else 1.0
    levels = np.unique(np.linspace(low, top, int(rng.integers(7, 15))).round())
    each = (WINDOW + WARM_UP) / len(levels)
    ends, taken = run_law(rng, levels, each, pause, pace)
    ends += END - WINDOW - WARM_UP
    per_second = scrapes.rate(ends)
    place = ((scrapes.times() - END + WINDOW + WARM_UP) / each).astype(int)
    users = levels[np.minimum(place, len(levels) - 1)]
    series = {
        "api_response_time_p95": scrapes.quantile(ends, taken, 0.95, BOUNDS),
        "api_latency_mean": scrapes.rate(ends, taken) / per_second,
        "load_users": users,
        "load_throughput": per_second,
    }

    def truth(estimate: Estimate) -> float | None:
        if estimate.method != "scalability" or estimate.size is None:
            return None
        if shape != "peak":
            return -1.0  # there is no peak: any promise is wrong
        times = [jobs_of_law(round(count), pause, pace)[1] for count in (levels[-1], estimate.size)]
        return float(1 - times[1] / times[0])

    return Case("api_response_time_p95", series, float("nan"), END - each, truth)
