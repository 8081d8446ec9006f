"""Ridge regressions of many series and horizons at once, what each part of the past says of the others, and a mixture.

Normal equations are sums over rows, so that the fit without a stretch of the past costs one more solution and no second
pass over the data. The residuals of each stretch are those of the fit without it: rows that are near each other in time
are alike, and a fit that has seen its neighbours would make every residual too small.

A regression that few independent rows carry may be worse than a plain rule, such as that today goes on as yesterday.
Rules are weights of the same features, so that a mean of the regression and of the rules, by how well each has done, is
again one set of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.traffic.conformal import quantile

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

FOLDS = 4
HUBER = 1.5  # usual errors, from which on a row counts as less
SHARPNESS = 8.0  # of the mixture: a tenth more error is half of the share


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients and honest residuals.

    Attributes:
        weights: Shape (series, horizons, features).
        without: The weights without each stretch, shape (series, horizons, FOLDS, features).
        residuals: Of each row by the fit without its stretch, shape (series, horizons, rows); NaN where not known.
    """

    weights: Floats
    without: Floats
    residuals: Floats


def fit(features: Floats, targets: Floats, prior_rows: Floats, rules: Floats) -> Fit:
    """Fit every series and horizon, and mix the fit with rules.

    Args:
        features: Shape (series, horizons, rows, features), the rows in the order of time, their number divisible by
            FOLDS.
        targets: Shape (series, horizons, rows), NaN where the value is not known.
        prior_rows: How many rows the prior of each coefficient, which is 0, counts for; shape (horizons, features).
        rules: Weights that are given, shape (rules, features).
    """
    known = np.isfinite(targets)
    left = np.where(known, targets, 0.0)
    weights = _solve(features, left, known.astype(np.float64), prior_rows)
    # Once more with bursts counting as less: Huber's weights, P. Huber, Annals of Mathematical Statistics 35, 1964.
    errors = np.abs(_residuals(features, left, weights))
    usual = quantile(np.where(known, errors, np.nan), 0.5)[..., None]
    counts = known * np.minimum(1.0, (HUBER * usual + 1e-12) / np.maximum(errors, 1e-12))
    weights = _solve(features, left, np.where(known, counts, 0.0), prior_rows)
    of_fit = np.where(known, _residuals(features, left, weights), np.nan)
    of_rules = np.where(known[..., None], targets[..., None] - features @ rules.T, np.nan)
    return _mix(weights, of_fit, rules, of_rules)


def _solve(features: Floats, targets: Floats, counts: Floats, prior_rows: Floats) -> Floats:
    """Return the weights of all rows and those without each stretch, shape (series, horizons, 1 + FOLDS, features).

    `counts` is how much each row counts, shape (series, horizons, rows).
    """
    series, horizons, rows, count = features.shape
    folded = features.reshape(series, horizons, FOLDS, rows // FOLDS, count)
    used = np.swapaxes(folded * counts.reshape(*folded.shape[:-1], 1), -1, -2)
    squares = used @ folded
    products = used @ targets.reshape(*folded.shape[:-1], 1)
    whole, all_products = squares.sum(axis=2, keepdims=True), products.sum(axis=2, keepdims=True)
    # A feature's own mean square makes the prior independent of its unit.
    scale = np.einsum("shfcc->shc", whole) / np.maximum(counts.sum(axis=2), 1.0)[:, :, None]
    penalty = np.eye(count) * (prior_rows * scale + 1e-9)[:, :, None, None, :]
    systems = np.concatenate([whole, whole - squares], axis=2) + penalty
    solved = np.linalg.solve(systems, np.concatenate([all_products, all_products - products], axis=2))
    return np.asarray(solved[..., 0], dtype=np.float64)


def _residuals(features: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return what each row leaves by the weights without its stretch, shape (series, horizons, rows)."""
    series, horizons, rows, count = features.shape
    folded = features.reshape(series, horizons, FOLDS, rows // FOLDS, count)
    return np.asarray(targets - (folded @ weights[:, :, 1:, :, None]).reshape(targets.shape), dtype=np.float64)


def _mix(weights: Floats, left: Floats, rules: Floats, left_by_rules: Floats) -> Fit:
    """Return the mean of the fits and of the rules, by the mean absolute error that each has left."""
    every = np.concatenate([left[..., None], left_by_rules], axis=3)
    errors = np.nansum(np.abs(every), axis=2)
    shares = (errors / np.maximum(errors.min(axis=2, keepdims=True), 1e-12) + 1e-12) ** -SHARPNESS
    shares /= shares.sum(axis=2, keepdims=True)
    mixed = shares[:, :, :1, None] * weights + (shares[:, :, 1:] @ rules)[:, :, None]
    return Fit(mixed[:, :, 0], mixed[:, :, 1:], np.einsum("shre,she->shr", every, shares))
