"""Gaussian paths with gaps, against the dense Gaussian of the whole path."""

import jax
import numpy as np
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.exact.gaps import missing_factor
from tests.exact.gaussian.paths import F, Q, tracked

pytestmark = pytest.mark.usefixtures("x64")

NAN = np.nan


def tracking(u):
    return tracked(u)


def stacked(u):
    count = len(u)
    below, noise = np.eye(2 * count), np.zeros((2 * count, 2 * count))
    noise[:2, :2] = np.eye(2)
    for t in range(1, count):
        below[2 * t : 2 * t + 2, 2 * t - 2 : 2 * t] = -F
        noise[2 * t : 2 * t + 2, 2 * t : 2 * t + 2] = Q
    inverse = np.linalg.inv(below)
    return inverse @ u.reshape(-1), inverse @ noise @ inverse.T


def test_parts_of_vectors_along_a_path_may_be_missing():
    u = np.random.default_rng(0).normal(size=(5, 2))
    x = np.random.default_rng(1).normal(size=(5, 2))
    x[0, 1] = x[2] = x[3, 0] = x[4, 1] = NAN
    mean, C = stacked(u)
    there = np.flatnonzero(~np.isnan(x.reshape(-1)))
    truth = stats.multivariate_normal(mean[there], C[np.ix_(there, there)]).logpdf(x.reshape(-1)[there])
    found = gm.compile(tracking(u).condition(x=x, missing="marginalise")).log_density({})
    np.testing.assert_allclose(found, truth, rtol=1e-10)


def test_draws_of_the_gaps_have_the_law_given_the_rest():
    u, x = np.zeros((4, 2)), np.array([[NAN, 1.0], [NAN, NAN], [0.5, NAN], [NAN, NAN]])
    model = tracking(u).condition(x=x, missing="marginalise")
    _, C = stacked(u)
    flat = x.reshape(-1)
    there, gone = np.flatnonzero(~np.isnan(flat)), np.flatnonzero(np.isnan(flat))
    gain = C[np.ix_(gone, there)] @ np.linalg.inv(C[np.ix_(there, there)])
    truth, spread = gain @ flat[there], C[np.ix_(gone, gone)] - gain @ C[np.ix_(there, gone)]
    factor = missing_factor(model, "x")
    values = {"F": F, "Q": Q, "u": u}
    keys = jax.random.split(jax.random.key(0), 40_000)
    draws = np.asarray(jax.vmap(lambda key: factor.imputed(key, values, x))(keys)).reshape(-1, 8)[:, gone]
    error = np.sqrt(np.diag(spread) / len(draws))
    assert np.all(np.abs(draws.mean(0) - truth) < 4.5 * error)
    scale = np.sqrt(np.outer(np.diag(spread), np.diag(spread)))
    np.testing.assert_allclose(np.cov(draws.T) / scale, spread / scale, atol=0.03)
