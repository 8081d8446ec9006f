"""The parts of the forecast beside naive oracles: regressions, quantiles, means of the same time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perfloop_analyzer.planning.traffic.conformal import margins, quantile, widening
from perfloop_analyzer.planning.traffic.features import TRIMMED, centred_mean, same_time, trailing_mean
from perfloop_analyzer.planning.traffic.ridge import FOLDS, HUBER, SHARPNESS, fit


def _ridge(features: np.ndarray, targets: np.ndarray, prior_rows: np.ndarray) -> np.ndarray:
    """Solve one ridge regression by least squares over rows that are added for the prior."""
    return np.linalg.lstsq(
        np.concatenate([features, np.diag(np.sqrt(prior_rows))]),
        np.concatenate([targets, np.zeros(len(prior_rows))]),
        rcond=None,
    )[0]


def _ridge_by_counts(
    features: np.ndarray, targets: np.ndarray, counts: np.ndarray, prior_rows: np.ndarray, scale_of: np.ndarray
) -> np.ndarray:
    """Solve one ridge regression whose rows count for so much; the prior is in the units of `scale_of`'s rows."""
    penalty = prior_rows * (scale_of[:, None] * features**2).sum(axis=0) / scale_of.sum() + 1e-9
    root = np.sqrt(counts)
    return _ridge(features * root[:, None], targets * root, penalty)


def _fits(own: np.ndarray, wanted: np.ndarray, counts: np.ndarray, prior: np.ndarray) -> list[np.ndarray]:
    """The fit of all rows, and those without each stretch."""
    folds = np.arange(len(wanted)) // (len(wanted) // FOLDS)
    seen = [counts, *(np.where(folds == fold, 0.0, counts) for fold in range(FOLDS))]
    return [_ridge_by_counts(own, wanted, one, prior, counts) for one in seen]


def test_the_mixture_is_that_of_loops() -> None:
    """The fit of all rows, those without each stretch, whose residuals are of rows that they have not seen, and rules.

    Rows with large errors count as less the second time; each part has its share by the mean absolute error that it
    left, to the power of -SHARPNESS.
    """
    rng = np.random.default_rng(1)
    features, targets = rng.standard_normal((2, 3, 40, 4)), rng.standard_normal((2, 3, 40))
    targets[1, 2, 5:9] = np.nan
    targets[0, 1, 7] = 50.0
    prior, rules = rng.uniform(1, 5, (3, 4)), rng.standard_normal((2, 4)) / 4
    found = fit(features, targets, prior, rules)
    folds = np.arange(40) // (40 // FOLDS)
    for series, horizon in np.ndindex(2, 3):
        own, wanted = features[series, horizon], targets[series, horizon]
        there = np.isfinite(wanted).astype(float)
        filled = np.where(there, wanted, 0.0)
        first = _fits(own, filled, there, prior[horizon])
        errors = np.abs(filled - (own * np.stack(first[1:])[folds]).sum(axis=1))
        usual = np.median(errors[there > 0])
        whole, *without = _fits(own, filled, there * np.minimum(1.0, HUBER * usual / errors), prior[horizon])
        left = np.stack(
            [wanted - (own * np.stack(without)[folds]).sum(axis=1), *(wanted - own @ rule for rule in rules)]
        )
        shares = np.nanmean(np.abs(left), axis=1) ** -SHARPNESS
        shares /= shares.sum()
        mixed = shares[0] * whole + shares[1:] @ rules
        np.testing.assert_allclose(found.weights[series, horizon], mixed, atol=1e-7)
        for fold in range(FOLDS):
            mixed = shares[0] * without[fold] + shares[1:] @ rules
            np.testing.assert_allclose(found.without[series, horizon, fold], mixed, atol=1e-7)
        np.testing.assert_allclose(found.residuals[series, horizon], shares @ left, atol=1e-7)


def test_a_rule_that_is_right_is_followed() -> None:
    """What needs no regression gets none: the rule that leaves nothing has the whole share."""
    rng = np.random.default_rng(2)
    features = rng.standard_normal((1, 1, 16, 5))
    rule = np.array([0.0, 1.0, 0.0, -1.0, 0.5])
    found = fit(features, features @ rule, np.full((1, 5), 4.0), np.stack([np.zeros(5), rule]))
    np.testing.assert_allclose(found.weights[0, 0], rule, atol=1e-6)


@given(
    values=arrays(np.float64, (3, 20), elements=st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))),
    share=st.floats(0, 1),
)
def test_quantiles_are_numpys(values: np.ndarray, share: float) -> None:
    """Linear between values, without NaN."""
    found = quantile(values, share)
    for row, one in zip(values, found, strict=True):
        known = row[np.isfinite(row)]
        if len(known):
            assert one == pytest.approx(np.quantile(known, share), abs=1e-6)
        else:
            assert np.isnan(one)


def test_few_errors_make_wide_bounds() -> None:
    """The fewer errors are independent, the wider; very many widen nothing."""
    wide = widening(np.array([0.2, 1.0, 2.0, 5.0, 50.0, 1e9]))
    assert wide[0] == wide[1]
    assert (np.diff(wide[1:]) < 0).all()
    assert wide[-1] == pytest.approx(1.0)


def test_margins_are_on_both_sides() -> None:
    """A forecast that was always too low still has a lower bound below it, or at it."""
    low, high = margins(np.linspace(1, 2, 100), np.asarray(1e9))
    assert low == 0
    assert high == pytest.approx(1.95, abs=0.01)


def test_means_are_those_of_loops() -> None:
    """Trailing and centred, at the ends of what there is."""
    values = np.random.default_rng(1).standard_normal((2, 30))
    for at in range(30):
        for span in (1, 4, 12):
            expected = values[:, max(0, at - span + 1) : at + 1].mean(axis=1)
            np.testing.assert_allclose(trailing_mean(values, span)[:, at], expected, atol=1e-12)
        expected = values[:, max(0, at - 3) : at + 4].mean(axis=1)
        np.testing.assert_allclose(centred_mean(values, 3)[:, at], expected, atol=1e-12)


@pytest.mark.parametrize("lags", [(1, 7), (1, 1), (3, 5)])
def test_the_same_time_of_earlier_days(lags: tuple[int, int]) -> None:
    """The mean over the days that there are, without the highest and the lowest of many, also ahead of the past."""
    values, day, ahead = np.random.default_rng(1).standard_normal((2, 50)), 7, 6
    found = same_time(values, day, lags, ahead)
    assert found.shape == (2, 56)
    for at in range(56):
        places = [at - lag * day for lag in range(lags[0], lags[1] + 1) if 0 <= at - lag * day < 50]
        if places:
            earlier = np.sort(values[:, places], axis=1)
            kept = earlier[:, 1:-1] if len(places) >= TRIMMED else earlier
            np.testing.assert_allclose(found[:, at], kept.mean(axis=1), atol=1e-12)
        elif at - lags[0] * day < 0:
            assert np.isnan(found[:, at]).all()
