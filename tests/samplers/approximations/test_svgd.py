import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.samplers.approximations.svgd import stein_direction

from .targets import drawn, gamma

CENTRE = np.array([1.0, -2.0])
SPREAD = np.array([[2.0, 1.2], [1.2, 1.5]])


def gaussian():
    return gm.joint(x=dist.MultivariateNormal(jnp.asarray(CENTRE), jnp.asarray(SPREAD)))


def test_the_direction_is_the_sum_over_all_pairs(x64):
    """Pair by pair, with the derivative of the kernel by JAX and the median of ten distances."""
    rng = np.random.default_rng(0)
    x, score = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    pairs = [np.sum((x[i] - x[j]) ** 2) for i in range(5) for j in range(i)]
    width = np.median(pairs) / np.log(6.0)
    kernel = lambda a, b: jnp.exp(-jnp.sum((a - b) ** 2) / width)  # noqa: E731
    exact = [
        sum(kernel(x[j], x[i]) * score[j] + jax.grad(kernel)(jnp.asarray(x[j]), x[i]) for j in range(5)) / 5.0
        for i in range(5)
    ]
    np.testing.assert_allclose(stein_direction(jnp.asarray(x), jnp.asarray(score)), np.stack(exact), rtol=1e-12)


def test_two_particles_come_to_rest_where_pull_and_push_are_equal(x64):
    """In N(0, 1) at -a and a: h = 4 a^2 / log 3, k = 1 / 3, and -a (1 - k) + 4 a k / h = 0 gives a^2 = log(3) / 2."""
    tree = drawn(gm.joint(x=dist.Normal(0.0, 1.0)), gm.SVGD(particles=2, steps=4000))
    found = np.sort(tree["posterior"]["x"].values.ravel())
    np.testing.assert_allclose(found, np.sqrt(np.log(3.0) / 2.0) * np.array([-1.0, 1.0]), atol=1e-4)


def test_a_correlated_normal_law_has_its_mean_and_nearly_its_spread():
    """A hundred particles in two dimensions: 92 to 93 % of variances and covariance, 97 % at four hundred."""
    x = drawn(gaussian(), gm.SVGD())["posterior"]["x"].values[0]
    assert x.shape == (100, 2)
    np.testing.assert_allclose(x.mean(axis=0), CENTRE, atol=0.01)
    share = np.cov(x.T, bias=True) / SPREAD
    assert (share > 0.9).all()
    assert (share < 0.95).all()


def test_the_spread_collapses_in_many_dimensions():
    """As the docstring says: a fifth of the variance is left of a hundred particles in twenty dimensions."""
    wide = gm.joint(x=dist.Normal(0.0, 1.0).expand([20]).to_event(1))
    x = drawn(wide, gm.SVGD(steps=500))["posterior"]["x"].values[0]
    assert 0.1 < x.var(axis=0).mean() < 0.3


def test_particles_of_a_positive_variable_are_moved_on_its_logarithm():
    """Gamma(3, 0.5): u = log s has mean psi(3) - log 0.5 and variance psi'(3)."""
    tree = drawn(gamma(), gm.SVGD())
    u = np.log(tree["posterior"]["s"].values)
    assert u.mean() == pytest.approx(0.9227843350984671 + np.log(2.0), abs=0.02)
    assert 0.9 < u.var() / 0.3949340668482264 < 1.0


def test_the_tree_has_every_particle_once_and_says_that_they_rest():
    tree = drawn(gaussian(), gm.SVGD(particles=50), draws=1000)
    group = tree["approximation"]
    np.testing.assert_array_equal(tree["posterior"]["x"].values[0], group["particle"].values)
    assert len(np.unique(group["particle"].values[:, 0])) == 50
    assert (group["residual"].values < 1e-3).all()
    assert tree.attrs["draws_asked"] == 50
    assert "repel" in tree.attrs["bias"]
    assert drawn(gaussian(), gm.SVGD(particles=50), draws=7)["posterior"]["x"].shape == (1, 7, 2)


def test_chains_start_at_different_particles():
    tree = gm.sample(gaussian(), gm.NUTS(), init=gm.SVGD(particles=20), draws=10, warmup=10, progress=False)
    first = tree["warmup_posterior"]["x"].values[:, 0]
    assert len(np.unique(first[:, 0])) == 4


def test_what_does_not_fit_is_refused():
    with pytest.raises(gm.SpecError, match="which is gm.MAP"):
        gm.SVGD(particles=1)
    with pytest.raises(gm.SpecError, match="step_size"):
        gm.SVGD(step_size=0.0)
    with pytest.raises(gm.SpecError, match="s is discrete"):
        drawn(gm.energy(lambda s: s[0] * s[1], s=gm.Spin(2)), gm.SVGD())
    with pytest.raises(gm.StartError, match="not finite"):
        drawn(gm.energy(lambda x: jnp.inf + x, x=gm.Real()), gm.SVGD())
