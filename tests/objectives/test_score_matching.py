"""Score matching of Gaussians has its minimum at the maximum-likelihood estimate, whatever the method."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

RNG = np.random.default_rng(0)
ROOT = np.array([[1.0, 0.0, 0.0], [0.6, 0.7, 0.0], [-0.3, 0.2, 1.4]])
DATA = {"x": RNG.normal(size=(500, 3)) @ ROOT.T + np.array([1.0, -2.0, 0.5])}


def gaussian():
    return gm.energy(
        lambda x, precision, pull: 0.5 * x @ (precision @ precision.T) @ x - pull @ x,
        x=gm.Real(3), precision=gm.param(np.eye(3)), pull=gm.param(np.zeros(3)),
    )  # fmt: skip


def fitted(objective, steps=4000):
    rate = optax.adam(optax.cosine_decay_schedule(0.05, steps))
    return gm.fit(gaussian(), DATA, objective, optimizer=rate, steps=steps, progress=False)


def moments(model):
    """The covariance and the mean that the parameters stand for."""
    half = np.asarray(model.params["precision"].value)
    covariance = np.linalg.inv(half @ half.T)
    return covariance, covariance @ np.asarray(model.params["pull"].value)


def test_of_a_gaussian_it_is_maximum_likelihood(x64):
    covariance, mean = moments(fitted(gm.ScoreMatching()).model)
    np.testing.assert_allclose(covariance, np.cov(DATA["x"].T, bias=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, DATA["x"].mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("step", [None, 1e-3])
def test_random_directions_give_the_same_loss_and_slope_on_average(step, x64):
    """On 4,000 keys, by z-scores of the loss and of each slope, 13 numbers: a false alarm in 1 of 20,000."""
    model = fitted(gm.ScoreMatching(), steps=20).model
    batch = {"x": jnp.asarray(DATA["x"][:20])}

    def value(scale, key, objective):
        moved = eqx.tree_at(lambda m: m.params["precision"].free, model, scale * model.params["precision"].free)
        return objective.loss(key, moved, batch, ())[0]

    both = jax.jit(jax.vmap(jax.value_and_grad(value), (None, 0, None)))
    keys = jax.random.split(jax.random.key(0), 4000)
    exact = jax.value_and_grad(value)(1.0, keys[0], gm.ScoreMatching())
    found = both(1.0, keys, gm.ScoreMatching(projections=2, step=step))
    for mean, draws in zip(exact, found, strict=True):
        draws = np.asarray(draws)
        assert abs(draws.mean() - mean) < 4.5 * draws.std() / np.sqrt(len(draws)) + 1e-5 * abs(mean)


def test_the_exact_loss_is_that_of_the_formula(x64):
    """A quartic in two coordinates, by hand; NumPy's numbers."""
    model = gm.energy(lambda x: x[0] ** 4 + x[0] * x[1] + 1.5 * x[1] ** 2, x=gm.Real(2))
    x = RNG.normal(size=(50, 2))
    score = -np.stack([4 * x[:, 0] ** 3 + x[:, 1], x[:, 0] + 3 * x[:, 1]], -1)
    exact = np.mean(0.5 * (score**2).sum(-1) - 12 * x[:, 0] ** 2 - 3)
    batch = {"x": jnp.asarray(x)}
    assert float(gm.ScoreMatching().loss(jax.random.key(0), model, batch, ())[0]) == pytest.approx(exact, rel=1e-12)


def test_inputs_are_each_datums_own(x64):
    """y given c is normal around 2 c - 1, and the constant depends on nothing."""
    c = RNG.normal(size=400)
    y = 2.0 * c - 1.0 + 0.5 * RNG.normal(size=400)
    model = gm.energy(
        lambda y, c, a, b, w: 0.5 * w**2 * (y - a * c - b) ** 2,
        y=gm.Real(), c=gm.input(gm.Real()), a=gm.param(0.0), b=gm.param(0.0), w=gm.param(1.0),
    )  # fmt: skip
    rate = optax.adam(optax.cosine_decay_schedule(0.05, 3000))
    fit = gm.fit(model, {"y": y, "c": c}, gm.ScoreMatching(), optimizer=rate, steps=3000, progress=False)
    slope, shift = np.polyfit(c, y, 1)
    assert float(fit.model.params["a"].value) == pytest.approx(slope, rel=1e-4)
    assert float(fit.model.params["b"].value) == pytest.approx(shift, rel=1e-4)
    assert float(fit.model.params["w"].value) ** -2 == pytest.approx(np.var(y - slope * c - shift), rel=1e-3)


def test_what_it_cannot_use_is_refused():
    spins = gm.energy(lambda s, j: -j * s[0] * s[1], s=gm.Spin(2), j=gm.param(0.0))
    pair = gm.joint(a=gm.param(0.0), x=lambda a: dist.Normal(a, 1.0), y=lambda x: dist.Normal(x, 1.0))
    with pytest.raises(gm.SpecError, match="PseudoLikelihood"):
        gm.fit(spins, {"s": np.ones((3, 2))}, gm.ScoreMatching(), progress=False)
    kink = gm.energy(lambda x, b: b * jnp.abs(x), x=gm.Real(), b=gm.param(0.7))
    with pytest.raises(gm.SpecError, match="made of straight pieces"):
        gm.fit(kink, {"x": RNG.laplace(size=50)}, gm.ScoreMatching(), progress=False)
    with pytest.raises(gm.SpecError, match="Give projections=1"):
        gm.ScoreMatching(step=0.1)
    with pytest.raises(gm.SpecError, match="projections=0"):
        gm.ScoreMatching(projections=0)
    with pytest.raises(gm.SpecError, match="step=0"):
        gm.ScoreMatching(projections=1, step=0.0)
    with pytest.raises(gm.SpecError, match="y has no data"):
        gm.fit(pair, {"x": np.zeros(3)}, gm.ScoreMatching(), progress=False)
