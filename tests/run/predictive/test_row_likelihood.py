"""Rows under fitted models, against closed forms."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from scipy import stats

import gmdsl as gm

X = np.random.default_rng(0).normal(size=200)
Y = 2.0 * X - 1.0 + 0.5 * np.random.default_rng(1).normal(size=200)


def regression(**start):
    start = {"slope": 0.0, "level": 0.0, "log_scale": 0.0, **start}
    return gm.joint(
        x=gm.input(gm.Real()),
        y=lambda x, slope, level, log_scale: dist.Normal(slope * x + level, jnp.exp(log_scale)),
        **{name: gm.param(value) for name, value in start.items()},
    )


def test_held_out_rows_of_a_fitted_regression_have_the_density_of_least_squares(x64):
    train, test = slice(0, 150), slice(150, None)
    rate = optax.adam(optax.cosine_decay_schedule(0.05, 1500))
    fit = gm.fit(
        regression(), {"x": X[train], "y": Y[train]}, gm.MaximumLikelihood(), optimizer=rate, steps=1500, progress=False
    )
    found = gm.log_likelihood(fit.model, {"x": X[test], "y": Y[test]})
    design = np.stack([X, np.ones_like(X)], 1)
    beta = np.linalg.lstsq(design[train], Y[train], rcond=None)[0]
    scale = np.sqrt(np.mean((Y[train] - design[train] @ beta) ** 2))
    np.testing.assert_allclose(found, stats.norm.logpdf(Y[test], design[test] @ beta, scale), atol=1e-5)


def test_one_datum_is_a_number_and_one_value_stands_for_all_rows(x64):
    model = regression(slope=2.0, level=-1.0, log_scale=-0.5)
    law = lambda x, y: stats.norm.logpdf(y, 2.0 * x - 1.0, np.exp(-0.5))  # noqa: E731
    one = gm.log_likelihood(model, {"x": 0.3, "y": 0.7})
    assert np.shape(one) == ()
    np.testing.assert_allclose(one, law(0.3, 0.7), atol=1e-9)
    np.testing.assert_allclose(gm.log_likelihood(model, {"x": 0.3, "y": Y}), law(0.3, Y), atol=1e-9)
    np.testing.assert_allclose(gm.log_likelihood(model.condition(x=0.3), {"y": Y}), law(0.3, Y), atol=1e-9)
    assert gm.log_likelihood(model, {"x": np.zeros(0), "y": np.zeros(0)}).shape == (0,)


def test_vectors_labels_and_hidden_variables_that_were_integrated_out(x64):
    means = np.array([[0.0, 1.0], [3.0, -1.0], [2.0, 2.0]])
    model = gm.joint(
        c=gm.input(gm.Categorical(3)),
        means=gm.param(means),
        k=dist.Bernoulli(0.3),
        y=lambda c, k, means: dist.Normal(means[c] + 4.0 * k, 0.5).to_event(1),
    ).marginalize("k")
    labels, y = np.array([0, 2, 1, 1]), np.random.default_rng(2).normal(size=(4, 2))
    parts = [stats.norm.logpdf(y, means[labels] + 4.0 * k, 0.5).sum(1) for k in (0, 1)]
    truth = np.logaddexp(np.log(0.7) + parts[0], np.log(0.3) + parts[1])
    np.testing.assert_allclose(gm.log_likelihood(model, {"c": labels, "y": y}), truth, atol=1e-9)
    with pytest.raises(gm.SpecError, match="c"):
        gm.log_likelihood(model, {"c": labels + 1, "y": y})


def test_an_energy_of_spins_is_normalised_at_the_input_of_each_row(x64):
    model = gm.energy(
        lambda s, h, w: -(w * s[0] * s[1] + h * jnp.sum(s)),
        s=gm.Spin(2),
        h=gm.input(gm.Real()),
        w=gm.param(0.4),
    )
    h, s = np.array([0.1, -1.0, 2.0]), np.array([[1, 1], [-1, 1], [1, -1]])
    every = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    energy = lambda s, h: 0.4 * s[..., 0] * s[..., 1] + h * s.sum(-1)  # noqa: E731
    truth = energy(s, h) - np.log(np.exp(energy(every[None], h[:, None])).sum(1))
    np.testing.assert_allclose(gm.log_likelihood(model, {"h": h, "s": s}), truth, atol=1e-9)


def test_what_has_no_density_of_its_own_is_refused():
    model = regression()
    with pytest.raises(gm.SpecError, match="depends on the input x, which has no value"):
        gm.log_likelihood(model, {"y": Y})
    with pytest.raises(gm.SpecError, match="y is free and has no value in the rows"):
        gm.log_likelihood(model, {"x": X})
    with pytest.raises(gm.SpecError, match="there is no 'z'"):
        gm.log_likelihood(model, {"x": X, "z": Y})
    with pytest.raises(gm.SpecError, match=r"shape \(200, 1\), but one datum was declared \(\)"):
        gm.log_likelihood(model, {"x": X, "y": Y[:, None]})
    with pytest.raises(gm.SpecError, match="the lengths differ"):
        gm.log_likelihood(model, {"x": X, "y": Y[1:]})
    energy = gm.energy(lambda y, x: 0.5 * (y - x) ** 4, y=gm.Real(), x=gm.input(gm.Real()))
    with pytest.raises(gm.SpecError, match="gm.log_normalizer"):
        gm.log_likelihood(energy, {"x": X, "y": Y})
