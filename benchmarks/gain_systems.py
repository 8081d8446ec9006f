"""Simulated systems with a known truth: queues of every kind, and what Prometheus would have seen of them.

Times are in seconds. A system runs from 0 to an end; `Scrapes` are the moments of a window at its end, and give gauges
and rates over four scrape intervals as the analyzer queries them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Floats = np.ndarray
Draw = Callable[[int], Floats]

STEP, POINTS, RATE_POINTS = 15.0, 80, 4


def draw_times(rng: np.random.Generator, mean: float) -> Draw:
    """Return a random distribution with a mean: constant, exponential, log-normal, hyperexponential or heavy-tailed."""
    kind = rng.choice(["constant", "exponential", "lognormal", "two_kinds", "pareto"])
    sigma, tail, rare = rng.uniform(0.3, 1.2), rng.uniform(2.1, 3.0), rng.uniform(0.02, 0.18)

    def draw(count: int) -> Floats:
        if kind == "constant":
            return np.full(count, mean)
        if kind == "exponential":
            return rng.exponential(mean, count)
        if kind == "lognormal":
            return rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, count)
        if kind == "two_kinds":
            slow = rng.random(count) < rare
            return np.where(slow, 5.0, (1 - 5 * rare) / (1 - rare)) * rng.exponential(mean, count)
        return (rng.pareto(tail, count) + 1) * mean * (tail - 1) / tail

    return draw


def poisson(rng: np.random.Generator, rate: float, start: float, end: float) -> Floats:
    """Return the arrivals of a Poisson process."""
    return np.sort(rng.uniform(start, end, rng.poisson(rate * (end - start))))


@dataclass(frozen=True, slots=True)
class Scrapes:
    """The scrapes of a window of POINTS points, with so many before it that the first point has its rate window."""

    end: float

    def times(self) -> Floats:
        """Return the moments of the window's points."""
        return self.end - STEP * np.arange(POINTS - 1, -1, -1)

    def rate(self, at: Floats, amounts: Floats | float = 1.0) -> Floats:
        """Return the rate of a counter to which each moment adds its amount, over four scrape intervals."""
        edges = self.end - STEP * np.arange(POINTS + RATE_POINTS - 1, -2, -1)
        weights = np.broadcast_to(np.asarray(amounts, dtype=float), at.shape)
        sums, _ = np.histogram(at, edges - STEP / 1e6, weights=weights)
        return np.convolve(sums[: POINTS + RATE_POINTS - 1], np.ones(RATE_POINTS), "valid") / (STEP * RATE_POINTS)

    def quantile(self, at: Floats, values: Floats, share: float, bounds: Floats) -> Floats:
        """Return Prometheus's histogram_quantile of values that were observed at moments."""
        inside = np.searchsorted(bounds, values)
        rates = np.array([self.rate(at[inside == place]) for place in range(len(bounds) + 1)])
        return np.array([histogram_quantile(share, column, bounds) for column in rates.T])


def histogram_quantile(share: float, counts: Floats, bounds: Floats) -> float:
    """Return Prometheus's estimate: linear within the bucket; the last bound for what is beyond it."""
    total = counts.sum()
    if total <= 0:
        return float("nan")
    reached = np.cumsum(counts)
    place = int(np.searchsorted(reached, share * total))
    if place >= len(bounds):
        return float(bounds[-1])
    low = bounds[place - 1] if place else 0.0
    inside = counts[place]
    return float(low + (bounds[place] - low) * (share * total - (reached[place] - inside)) / inside)


@dataclass(frozen=True, slots=True)
class Served:
    """When each request came, was begun and ended, in order of its begin."""

    came: Floats
    begun: Floats
    ended: Floats

    def busy(self, at: Floats) -> Floats:
        """Return how many servers are busy at moments."""
        return np.searchsorted(np.sort(self.begun), at, "right") - np.searchsorted(np.sort(self.ended), at, "right")


def serve(arrivals: Floats, times: Floats, servers: int) -> Served:
    """Return how a queue serves its arrivals, first come first served."""
    free = [0.0] * servers
    begun, ended = np.empty_like(arrivals), np.empty_like(arrivals)
    for place, (came, takes) in enumerate(zip(arrivals.tolist(), times.tolist(), strict=True)):
        start = max(came, free[0])
        heapq.heapreplace(free, start + takes)
        begun[place], ended[place] = start, start + takes
    return Served(arrivals, begun, ended)


@dataclass(frozen=True, slots=True)
class Callers:
    """A finite number of callers: each pauses, calls, and waits. Phases are (start, mean thinking time)."""

    count: int
    phases: tuple[tuple[float, float], ...]

    def call(self, rng: np.random.Generator, times: Draw, servers: int, end: float) -> Served:
        """Return how a queue serves them, first come first served."""
        pool, rows = times(100_000).tolist(), []
        calls = [(float(one), place) for place, one in enumerate(rng.exponential(self.phases[0][1], self.count))]
        free = [0.0] * servers
        heapq.heapify(calls)
        while calls[0][0] < end:
            came, caller = calls[0]
            start = max(came, free[0])
            done = start + pool[len(rows) % len(pool)]
            heapq.heapreplace(free, done)
            rows.append((came, start, done))
            think = next(mean for since, mean in reversed(self.phases) if since <= done or since == 0)
            heapq.heapreplace(calls, (done + float(rng.exponential(think)), caller))
        return Served(*np.array(rows).T)


def share_cores(arrivals: Floats, sizes: Floats, cores: int) -> tuple[Floats, Floats]:
    """Return the moments of a processor-sharing machine's arrivals and ends, and the busy cores from each on.

    Virtual time advances by the service that each job gets: at full speed while there are no more jobs than cores.
    """
    jobs: list[float] = []
    now = served = 0.0
    moments, busy = [], []
    for came, size in zip([*arrivals.tolist(), np.inf], [*sizes.tolist(), 0.0], strict=True):
        while jobs:
            pace = min(1.0, cores / len(jobs))
            done = now + (jobs[0] - served) / pace
            if done > came:
                served += (came - now) * pace
                break
            served, now = jobs[0], done
            heapq.heappop(jobs)
            moments.append(now)
            busy.append(min(len(jobs), cores))
        if came == np.inf:
            break
        now = came
        heapq.heappush(jobs, served + size)
        moments.append(now)
        busy.append(min(len(jobs), cores))
    return np.array(moments), np.array(busy, dtype=float)


def share_cores_with_callers(
    rng: np.random.Generator, callers: Callers, times: Draw, cores: int, end: float
) -> tuple[Floats, Floats]:
    """Return the same of a machine that a finite number of callers shares."""
    pool, used = times(100_000).tolist(), 0
    calls = sorted(rng.exponential(callers.phases[0][1], callers.count).tolist())
    jobs: list[float] = []
    now = served = 0.0
    moments, busy = [], []
    while now < end:
        pace = min(1.0, cores / len(jobs)) if jobs else 1.0
        done = now + (jobs[0] - served) / pace if jobs else np.inf
        if calls and calls[0] <= done:
            came = heapq.heappop(calls)
            served, now = served + (came - now) * pace, came
            heapq.heappush(jobs, served + pool[used % len(pool)])
            used += 1
        else:
            served, now = heapq.heappop(jobs), done
            think = next(mean for since, mean in reversed(callers.phases) if since <= now or since == 0)
            heapq.heappush(calls, now + float(rng.exponential(think)))
        moments.append(now)
        busy.append(min(len(jobs), cores))
    return np.array(moments), np.array(busy, dtype=float)


def busy_time(moments: Floats, busy: Floats, at: Floats) -> Floats:
    """Return how many core-seconds were used until each moment."""
    used = np.concatenate([[0.0], np.cumsum(busy[:-1] * np.diff(moments))])
    return np.interp(at, moments, used)


def jobs_of_law(users: int, pause: float, pace: Callable[[Floats], Floats]) -> tuple[float, float]:
    """Return the throughput and the mean response time of users that pause between calls.

    The stationary distribution of the birth-death process, exactly; `pace` gives the jobs per second of so many jobs.
    """
    there = np.arange(1, users + 1, dtype=float)
    weights = np.concatenate([[0.0], np.cumsum(np.log((users - there + 1) / pause) - np.log(pace(there)))])
    chances = np.exp(weights - weights.max())
    chances /= chances.sum()
    throughput = float((chances[1:] * pace(there)).sum())
    return throughput, float((chances[1:] * there).sum()) / throughput


def run_law(
    rng: np.random.Generator, levels: Floats, seconds: float, pause: float, pace: Callable[[Floats], Floats]
) -> tuple[Floats, Floats]:
    """Return the ends and response times of a load test that goes through levels of users, `seconds` for each.

    Responses are drawn as the jobs' mean times (Little's law over each half second): what matters is their mean.
    """
    paces = np.concatenate([[0.0], pace(np.arange(1.0, levels.max() + 1))]).tolist()
    now, jobs, ends, taken = 0.0, 0, [], []
    draws, used = rng.exponential(1.0, 1_000_000).tolist(), 0
    coins = rng.random(1_000_000).tolist()
    for place, users in enumerate(levels.astype(int).tolist()):
        jobs = min(jobs, users)
        while now < (place + 1) * seconds:
            comes, goes = (users - jobs) / pause, paces[jobs]
            total = comes + goes
            wait = draws[used % len(draws)] / total
            now += wait
            if coins[used % len(coins)] * total < comes:
                jobs += 1
            else:
                ends.append(now)
                taken.append(jobs / goes)
                jobs -= 1
            used += 1
    return np.array(ends), np.array(taken)
