"""Growth: how one series grows and how it wanders around its growth, as a weighted set of models.

Each model is a shape of `growth_shapes` and a noise. The noise is ARMA(1, 1), r(t) = phi r(t-1) + e(t) + theta e(t-1):
white at phi = 0, a random walk under white noise at phi = 1. A random walk is distinguished from growth because both
are in the set, and the bounds of a forecast are as wide as the noise that the series turns out to have.

Given a noise, the series and the shapes' columns are filtered to white innovations, and the fit is ordinary least
squares. With flat priors on the coefficients, PRIOR_WIDTH standard deviations of the series wide, and 1/sigma on the
scale, the marginal likelihood is a closed form and the posterior of the coefficients a multivariate t (A. Zellner, An
Introduction to Bayesian Inference in Econometrics, 1971); averaging over the models is Hoeting et al., Statistical
Science 14, 1999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter
from scipy.special import gammaln, stdtr

from perfloop_analyzer.detectors.growth_shapes import (
    NOISES,
    YOUNGEST,
    Basis,
    bend_at,
    build_basis,
    first_weight,
    innovations,
)
from perfloop_analyzer.detectors.season import moving_average

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from perfloop_analyzer.series import Floats

PRIOR_WIDTH = 3.0
FLOOR = 1e-5  # of the series' spread: what is computed in floats has no less noise
DOUBT = 0.4  # the share of the evidence that counts between curves: the true one is none of them
CLOSER = 16  # bends that are tried near the likeliest one
LEAST_BENT = 0.1  # the weight of all bends from which on they are
SMOOTH = 5  # points
UNPRECEDENTED = 1.5  # times the steepest rise of the same length before


@dataclass(frozen=True, slots=True)
class Posterior:
    """What one series says about the models.

    Attributes:
        weights: Shape (noises, shapes), of sum 1.
        means: Per shape, the coefficients under each noise, shape (noises, p).
        squares: Shape (noises, shapes): the sums of the squared innovations.
        not_rising: The probability that the growth does not rise at its end.
    """

    basis: Basis
    weights: Floats
    means: tuple[Floats, ...]
    squares: Floats
    not_rising: float


def weigh(values: Floats, day: float = 0.0) -> Posterior:
    """Return what one series without gaps, shape (points,), says about the models.

    Where a bend is likely, the bends are placed again, close to the likeliest one.

    Args:
        values: In the signal's unit.
        day: Points of a day, where the shapes shall have one; else 0.
    """
    basis = build_basis(len(values), day)
    posterior = _weigh(values, basis)
    by_bend = [float(posterior.weights[:, basis.bent_at(bend)].sum()) for bend in basis.bends]
    if sum(by_bend) < LEAST_BENT:
        return posterior
    place = int(np.argmax(by_bend))
    older = basis.bends[place - 1] if place else basis.bends[0] // 2
    younger = basis.bends[place + 1] if place + 1 < len(basis.bends) else basis.points - YOUNGEST
    closer = np.unique(np.linspace(older, max(younger, older + 1), CLOSER).astype(np.int64))
    return _weigh(values, bend_at(basis.points, day, tuple(int(one) for one in closer)))


def _weigh(values: Floats, basis: Basis) -> Posterior:
    spread = max(float(values.std()), 1e-9 * float(np.abs(values).max()), 1e-300)
    white = np.stack([innovations(values, noise) for noise in range(len(NOISES))])
    projected = (white[:, None, :] @ basis.filtered)[:, 0, :]
    total = (white**2).sum(axis=1)
    logs, squares, means = np.empty(basis.volumes.shape), np.empty(basis.volumes.shape), []
    for place, shape in enumerate(basis.shapes):
        count = len(values) - len(shape.columns)
        against = projected[:, shape.columns]
        mean = np.einsum("gij,gj->gi", basis.inverses[place], against)
        means.append(mean)
        left = np.maximum(total - (mean * against).sum(axis=1), len(values) * (FLOOR * spread) ** 2)
        squares[:, place] = left
        prior = len(shape.columns) * np.log(PRIOR_WIDTH * spread)
        logs[:, place] = gammaln(count / 2) - count / 2 * np.log(np.pi * left) - basis.volumes[:, place] - prior
    logs += np.log([first_weight(*noise) for noise in NOISES])[:, None] + np.log(basis.prior())[None, :]
    logs[:, _precedented(values, basis)] = -np.inf
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    not_rising = _not_rising(basis, weights, means, squares)
    return Posterior(basis, _doubted(basis, weights, logs), tuple(means), squares, not_rising)


def _precedented(values: Floats, basis: Basis) -> list[int]:
    """Return the bends since which the series rose no more than it has done before within as long a time.

    What rises and falls again and again is always rising somewhere: only a rise without precedent is a new growth.
    """
    smooth = moving_average(values[None, :], SMOOTH)[0]
    found: list[int] = []
    for bend in basis.bends:
        age = basis.points - bend
        span = min(age, bend - 1)
        earlier = float((smooth[span : bend + 1] - smooth[: bend + 1 - span]).max()) / span
        if (smooth[-1] - smooth[bend]) / age < UNPRECEDENTED * earlier:
            found += basis.bent_at(bend)
    return found


def _not_rising(basis: Basis, weights: Floats, means: list[Floats], squares: Floats) -> float:
    ends = basis.at(np.array([basis.points - 1.0, basis.points]))
    slope = ends[1] - ends[0]
    total = 0.0
    for place, shape in enumerate(basis.shapes):
        part = slope[list(shape.columns)]
        count = basis.points - len(shape.columns)
        error = np.sqrt(np.einsum("i,gij,j->g", part, basis.inverses[place], part) * squares[:, place] / count)
        total += float((weights[:, place] * stdtr(count, -(means[place] @ part) / error)).sum())
    return total


def _doubted(basis: Basis, weights: Floats, logs: Floats) -> Floats:
    """Return the weights with the share of the curves that slow down, and of the others, spread over more of them.

    A line is often true; a curve of the set never is, and the likeliest alone would give bounds of its own error only.
    """
    spread = weights.copy()
    for curves in basis.curves:
        total = weights[:, curves].sum()
        if total > 1.0 / weights.size:
            softened = np.exp(DOUBT * (logs[:, curves] - logs[:, curves].max()))
            spread[:, curves] = softened / softened.sum() * total
    return spread


def likeliest(posterior: Posterior) -> Floats:
    """Return the growth by the likeliest model, shape (points,)."""
    noise, place = np.unravel_index(int(np.argmax(posterior.weights)), posterior.weights.shape)
    basis = posterior.basis
    columns = basis.at(np.arange(basis.points, dtype=np.float64))[:, list(basis.shapes[place].columns)]
    return np.asarray(columns @ posterior.means[place][noise], dtype=np.float64)


def draw_futures(values: Floats, posterior: Posterior, ahead: int, count: int, quantum: float) -> Iterator[Floats]:
    """Yield futures of a series, shape (ahead, some), `count` altogether; the same ones for the same series.

    Args:
        values: The series that the posterior is of.
        posterior: As `weigh` returns it.
        ahead: Points.
        count: Futures.
        quantum: The step in which the values are rounded, 0 for none: rounding is no noise that goes on.
    """
    rng = np.random.default_rng(0)
    basis, flat = posterior.basis, posterior.weights.ravel()
    chosen, numbers = np.unique(rng.choice(len(flat), count, p=flat), return_counts=True)
    columns = basis.at(np.arange(basis.points + ahead, dtype=np.float64))
    for model, number in zip(chosen, numbers, strict=True):
        noise, shape = divmod(int(model), len(basis.shapes))
        own = list(basis.shapes[shape].columns)
        mean = posterior.means[shape][noise]
        drawn = _draw_coefficients(posterior, (noise, shape), int(number), rng)
        growth = columns[basis.points - 1 :, own] @ drawn
        filtered, white = basis.filtered[noise][:, own], innovations(values, noise)
        pool = (white - filtered @ mean)[1:] * np.sqrt(len(values) / (len(values) - len(own)))
        fresh = rng.choice(pool - pool.mean(), (ahead, int(number)))
        phi, theta = NOISES[noise]
        state = phi * (values[-1] - growth[0]) + theta * (white[-1] - filtered[-1] @ drawn)
        wander, _ = lfilter([1.0, theta], [1.0, -phi], fresh, axis=0, zi=state[None, :])
        rest = values - columns[: basis.points, own] @ mean
        lasting = max(0.0, 1.0 - quantum**2 / 12 / max(float(rest.var()), 1e-300))
        yield growth[1:] + np.sqrt(lasting) * wander


def _draw_coefficients(posterior: Posterior, model: tuple[int, int], number: int, rng: Generator) -> Floats:
    """Return coefficients of one noise and shape, shape (p, number), from their multivariate t."""
    noise, shape = model
    mean = posterior.means[shape][noise]
    root = np.linalg.cholesky(posterior.basis.inverses[shape][noise])
    scale = np.sqrt(posterior.squares[noise, shape] / rng.chisquare(posterior.basis.points - len(mean), number))
    return np.asarray(mean[:, None] + root @ rng.standard_normal((len(mean), number)) * scale, dtype=np.float64)
