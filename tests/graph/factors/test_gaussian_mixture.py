import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.graph.factors.gaussian_mixture import GaussianMixtureFactor
from gmdsl.models.model import Model

LAYOUT = (("a", gm.Real()), ("b", gm.Real(2)))
WEIGHTS = np.array([0.25, 0.75])
MEANS = np.array([[0.0, 1.0, -1.0], [3.0, -2.0, 0.5]])


def covariances():
    roots = np.random.default_rng(0).normal(size=(2, 3, 3))
    return roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(3)


def turned():
    spectrum, basis = np.linalg.eigh(covariances())
    return GaussianMixtureFactor(
        LAYOUT, jnp.log(WEIGHTS), jnp.asarray(MEANS), jnp.asarray(spectrum), jnp.asarray(basis)
    )


def straight():
    spectrum = jnp.array([[1.0, 0.5, 2.0], [0.2, 1.0, 0.7]])
    return GaussianMixtureFactor(LAYOUT, jnp.log(WEIGHTS), jnp.asarray(MEANS), spectrum, None)


def truth(factor):
    cov = covariances() if factor.basis is not None else [np.diag(s) for s in np.asarray(factor.spectrum)]
    return [stats.multivariate_normal(m, c) for m, c in zip(MEANS, cov, strict=True)]


@pytest.mark.parametrize("make", [turned, straight])
def test_the_density_is_that_of_the_mixture(make, x64):
    factor = make()
    for point in np.random.default_rng(1).normal(size=(5, 3)) * 2:
        exact = np.log(sum(w * p.pdf(point) for w, p in zip(WEIGHTS, truth(factor), strict=True)))
        np.testing.assert_allclose(factor.log_density({"a": point[0], "b": point[1:]}), exact, rtol=1e-12)


@pytest.mark.parametrize("make", [turned, straight])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_draws_have_the_mean_and_covariance_of_the_mixture(make, one_by_one):
    """Nine numbers; all |z| < 4.5 is a false alarm in 1 of 16,000 seeds."""
    factor, n = make(), 40_000
    if one_by_one:
        draws = jax.vmap(lambda key: factor.draw(key, {}))(jax.random.split(jax.random.key(0), n))
    else:
        draws = factor.draw(jax.random.key(0), {}, (n,))
    x = np.column_stack([draws["a"], draws["b"]]).astype(float)
    mean = WEIGHTS @ MEANS
    within, between = [np.asarray(p.cov) for p in truth(factor)], np.einsum("ki,kj->kij", MEANS, MEANS)
    second = np.einsum("k,kij->ij", WEIGHTS, within + between)
    products = np.einsum("ni,nj->nij", x, x)
    z_mean = (x.mean(0) - mean) / (x.std(0) / np.sqrt(n))
    z_second = (products.mean(0) - second) / (products.std(0) / np.sqrt(n))
    assert np.abs([*z_mean, *z_second[np.triu_indices(3)]]).max() < 4.5


def test_it_is_a_factor_of_a_model_like_any_other(x64):
    factor = turned()
    model = Model(factors=(factor,), declared=LAYOUT)
    density = gm.compile(model)
    assert model.capabilities().normalized
    assert model.capabilities().drawable
    point = {"a": 0.3, "b": np.array([0.1, -0.4])}
    np.testing.assert_allclose(density.log_density(point), factor.log_density(point), rtol=1e-12)
    slope = jax.grad(lambda b: factor.log_density({"a": 0.3, "b": b}))(jnp.array([0.1, -0.4]))
    np.testing.assert_allclose(density.score(point)["b"], slope, rtol=1e-12)
    observed = gm.compile(model.condition(b=point["b"]))
    assert observed.free == ("a",)
    np.testing.assert_allclose(observed.log_density({"a": 0.3}), factor.log_density(point), rtol=1e-12)


def test_renamed_variables_keep_their_places(x64):
    factor = turned()
    renamed = factor.rename({"a": "c"})
    assert renamed.children == ("c", "b")
    point = {"a": 0.3, "b": np.array([0.1, -0.4])}
    np.testing.assert_allclose(renamed.log_density({"c": 0.3, "b": point["b"]}), factor.log_density(point))
