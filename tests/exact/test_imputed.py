"""Draws of what is missing behind hidden variables, against sums over all paths and dense Gaussians."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.exact.imputed import has_gaps, imputed
from gmdsl.graph.ancestral import complete

pytestmark = pytest.mark.usefixtures("x64")

NAN, N = np.nan, 20_000
STEP, FIRST, MU = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.6, 0.4]), np.array([-1.0, 2.0])
Y = np.array([0.3, NAN, 1.5, -0.4, NAN])
W = np.array([NAN, NAN, 0.2, 0.9, 0.1])


def in_both_orders(model, hidden, **values):
    return (
        model.condition(**values, missing="marginalise").marginalize(hidden),
        model.marginalize(hidden).condition(**values, missing="marginalise"),
    )


def draws_of(model, **values):
    """Many completions of all observed variables with gaps, at one point."""
    (factor,) = (factor for factor in model.factors if has_gaps(factor))
    keys = jax.random.split(jax.random.key(1), N)
    values = {name: jnp.asarray(value) for name, value in values.items()}
    found = jax.jit(jax.vmap(lambda key: imputed(key, factor, complete(model, key, values))))(keys)
    return {name: np.asarray(value) for name, value in found.items()}


def agrees(drawn, mean, variance, z=4.5):
    """Means within z standard errors of the exact ones; false alarms below 1e-4."""
    assert np.abs((drawn.mean(0) - mean) / np.sqrt(variance / len(drawn))).max() < z


@pytest.mark.parametrize("order", [0, 1])
def test_two_series_below_labels_are_completed_by_one_path(order):
    model = gm.joint(
        step=gm.data(STEP),
        mu=dist.Normal(0.0, 3.0).expand([2]),
        z=gm.scan(lambda before, step: dist.Categorical(step[before]), first=dist.Categorical(FIRST), length=5),
        y=lambda z, mu: dist.Normal(mu[z], 0.5),
        w=lambda z: dist.Normal(3.0 * z, 1.0),
    )
    found = draws_of(in_both_orders(model, "z", y=Y, w=W)[order], mu=MU)
    paths = np.array(list(itertools.product(range(2), repeat=5)))
    logs = np.log(FIRST[paths[:, 0]]) + np.log(STEP[paths[:, :-1], paths[:, 1:]]).sum(1)
    logs += np.nansum(stats.norm(MU[paths], 0.5).logpdf(Y) + 0.0, 1) + np.nansum(stats.norm(3.0 * paths).logpdf(W), 1)
    weights = np.exp(logs) / np.exp(logs).sum()
    levels = MU[paths]
    mean = weights @ levels
    y, w = found["y"], found["w"]
    np.testing.assert_array_equal(y[:, [0, 2, 3]], np.broadcast_to(Y[[0, 2, 3]], (N, 3)))
    spread = weights @ levels**2 - mean**2 + 0.25
    agrees(y[:, [1, 4]], mean[[1, 4]], spread[[1, 4]])
    assert abs(y[:, 1].var() / spread[1] - 1.0) < 0.06
    product = weights @ (levels[:, 1] * 3.0 * paths[:, 1])  # y and w at time 1 follow the same label
    agrees(y[:, 1] * w[:, 1], product, (y[:, 1] * w[:, 1]).var())


@pytest.mark.parametrize("order", [0, 1])
def test_gaps_behind_a_gaussian_level_follow_the_law_given_the_rest(order):
    model = gm.joint(
        s=dist.HalfNormal(1.0),
        level=gm.scan(lambda before, s: dist.Normal(before, s), first=dist.Normal(0.0, 1.0), length=5),
        y=lambda level: dist.Normal(level, 0.5),
    )
    drawn = draws_of(in_both_orders(model, "level", y=Y)[order], s=0.7)["y"]
    covariance = 1.0 + 0.49 * np.minimum(*np.indices((5, 5))) + 0.25 * np.eye(5)
    there, gone = np.array([0, 2, 3]), np.array([1, 4])
    gain = covariance[np.ix_(gone, there)] @ np.linalg.inv(covariance[np.ix_(there, there)])
    after = covariance[np.ix_(gone, gone)] - gain @ covariance[np.ix_(there, gone)]
    agrees(drawn[:, gone], gain @ Y[there], np.diag(after))
    np.testing.assert_allclose(np.cov(drawn[:, gone].T), after, atol=0.03)


def test_labels_around_a_gaussian_that_was_integrated_out_too():
    model = gm.joint(
        k=dist.Bernoulli(0.3),
        a=lambda k: dist.Normal(4.0 * k, 1.0),
        y=lambda a: dist.Normal(a, 0.5).expand([3]),
    )
    model = model.marginalize("a").marginalize("k").condition(y=[1.7, NAN, NAN], missing="marginalise")
    drawn = draws_of(model)["y"]
    odds = np.array([0.7, 0.3]) * stats.norm([0.0, 4.0], np.sqrt(1.25)).pdf(1.7)
    weights, means = odds / odds.sum(), np.array([0.0, 4.0]) + (1.7 - np.array([0.0, 4.0])) / 1.25
    mean = weights @ means
    agrees(drawn[:, 1:], mean, np.full(2, 0.2 + 0.25 + weights @ (means - mean) ** 2))  # of a, of y, of the label


def test_a_model_without_gaps_has_nothing_to_draw():
    model = gm.joint(m=dist.Normal(0.0, 1.0), y=lambda m: dist.Normal(m, 1.0).expand([2])).condition(y=[0.1, 0.2])
    factor = model.factors[1]
    assert not has_gaps(factor)
    assert imputed(jax.random.key(0), factor, {"m": jnp.zeros(()), "y": jnp.zeros(2)}) == {}
